# Semantic FPN on a ViT-S/16, 40,000 iterations of ADE20K: the FLSL authors' published settings, which are SelfPatch's.
#
# Expected on ADE20K validation (mIoU): DINO 38.3, SelfPatch 41.2 (ViT-S/16, SelfPatch's README); FLSL publishes none.
# Cost: 40,000 iterations of 32 crops of 512x512; 8 GPUs with 4 images each. `python -m eval segment --plan` estimates it.
# Sources: FLSL's published segmentation configuration. The head sees four maps of stride 16 (outputs of blocks 2, 5, 8 and
# 11), not a pyramid.
#   python -m eval segment --protocol semantic-fpn_40k --checkpoint encoder.safetensors --data DIR --out DIR
protocol = "segment/semantic-fpn_40k@1"
model = dict(
    head="semantic-fpn",
    encoder="vit_small/16",
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
runtime = dict(workers=4, checkpoint_every=2000)
