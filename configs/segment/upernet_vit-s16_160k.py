# UPerNet on a ViT-S/16, 160,000 iterations of ADE20K: mmsegmentation's configuration for plain ViTs.
#
# Expected on ADE20K validation (mIoU): DINO 42.3, SelfPatch 43.2 (ViT-S/16, SelfPatch's README).
# Cost: 160,000 iterations of 16 crops of 512x512; 8 GPUs with 2 images each. `python -m eval segment --plan` estimates it.
# Sources: mmsegmentation's vit_deit-s16_mln_upernet_8xb2-160k_ade20k-512x512; SelfPatch does not publish the file it used.
#   python -m eval segment --protocol upernet_160k --checkpoint encoder.safetensors --data DIR --out DIR
protocol = "segment/upernet_160k@1"
model = dict(
    head="upernet",
    encoder="vit_small/16",
    blocks=(2, 5, 8, 11),
    drop_path=0.1,
    neck_channels=None,
    head_channels=512,
    dropout=0.1,
)
images = dict(
    short_side=512, longest_side=2048, scale=(0.5, 2.0), crop=512, largest_class=0.75, flip=0.5, photometric=True
)
training = dict(
    iterations=160_000,
    batch=16,
    base_batch=16,
    learning_rate=6e-5,
    weight_decay=0.01,
    warmup_iterations=1500,
    warmup_factor=1e-6,
    precision="fp32",
)
testing = dict(batch=1, precision="fp32")
runtime = dict(workers=4, checkpoint_every=2000)
