# Semantic FPN on a ViT-S/8, 40,000 iterations of ADE20K: the settings of semantic-fpn_vit-s16_40k.py with patches of 8.
#
# Expected on ADE20K validation: nobody publishes a figure.
# Cost: 4,096 tokens a crop, four times as many as with patches of 16. `python -m eval segment --plan` estimates it.
# Sources: as there. The head sees four maps of stride 8 (outputs of blocks 2, 5, 8 and 11), not a pyramid.
#   python -m eval segment --protocol semantic-fpn_40k --checkpoint encoder.safetensors --data DIR --out DIR \
#     --config configs/segment/semantic-fpn_vit-s8_40k.py
protocol = "segment/semantic-fpn_40k@1"
model = dict(
    head="semantic-fpn",
    encoder="vit_small/8",
    blocks=(2, 5, 8, 11),
    drop_path=0.1,
    neck_channels=256,
    head_channels=128,
    dropout=0.1,
)
images = dict(
    short_side=512, longest_side=2048, scale=(0.5, 2.0), crop=512, largest_class=0.75, flip=0.5, photometric=True
)
training = dict(
    iterations=40_000,
    batch=32,
    base_batch=32,
    learning_rate=6e-5,
    weight_decay=0.01,
    warmup_iterations=1500,
    warmup_factor=1e-6,
    precision="fp32",
)
testing = dict(batch=1, precision="fp32")
runtime = dict(checkpoint_activations=True, workers=4, checkpoint_every=2000)
