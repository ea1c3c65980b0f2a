# FLSL ViT-S/8 on ImageNet-1k, 300 epochs. Only the architecture and the results are published; the recipe is that of
# ViT-S/16 with patch 8.
# Expected: COCO Mask R-CNN 1x box/mask AP 46.5/42.1 (FLSL abstract, NeurIPS 2023).
# Cost: not published; about 4 to 5 times the ViT-S/16 recipe by its number of tokens. 64 images take 15 GiB, at 610 images/s
# on an H200 (bf16, replayed, not compiled; results/hardware): 8 GPUs need nothing more; one 80 GB GPU reaches the batch of 512 with training.accumulate=2, smaller ones with
# more, or with runtime.activation_checkpointing.
name = "FLSL ViT-S/8"
encoder = dict(architecture="vit_small", patch_size=8)
sampling = dict(mode="stride")
training = dict(epochs=300, batch_size=512, precision="fp16")
