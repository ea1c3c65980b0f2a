# FLSL ViT-S/16 on ImageNet-1k, 300 epochs: the authors' published settings. Every section that is not here has them as
# its defaults (docs/method.md, "Optimization").
# Expected: COCO Mask R-CNN 1x box/mask AP 44.9/40.8 (FLSL abstract, NeurIPS 2023).
# Cost: 3.5 days on 8 GPUs x 64 images (published). The batch of 512 takes 27 GiB and ran at 4,390 images/s on one H200 in bf16, 3,660 with
# color on it (1.2 days, where data keep up; results/hardware); smaller GPUs with training.accumulate. Sampling is the published settings' stride; the paper says random.
name = "FLSL ViT-S/16"
encoder = dict(architecture="vit_small", patch_size=16)
sampling = dict(mode="stride")
training = dict(epochs=300, batch_size=512, precision="fp16")
