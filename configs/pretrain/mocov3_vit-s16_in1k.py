# MoCo v3 ViT-S/16 on ImageNet-1k, 300 epochs: the authors' settings.
# Source: Chen, Xie, He, ICCV 2021, arXiv 2104.02057, and facebookresearch/moco-v3 (its page of configurations, ViT-Small, 300 epochs).
# Published: linear 73.2 on ImageNet (README; the paper's table has 72.5), not verified here. COCO Mask R-CNN 1x box AP 39.8, quoted.
# Cost: the authors used 32 GPUs (batch 1024); here 300 epochs of two views of 224 pixels, 3 passes of the encoder each.
# Differs: their encoder has 12 heads of width 32, draws its initial weights in other ranges (Xavier for queries, keys and values),
# scales views bilinearly, and their AdamW decays biases and norms too; here 6 heads, timm's ranges, bicubic and decay of matrices
# alone, as for every method.
name, method = "MoCo v3 ViT-S/16", "mocov3"
encoder = dict(architecture="vit_small", patch_size=16, class_token=True, position_embedding="sincos")
views = dict(global_size=224, global_scale=(0.08, 1.0))
mocov3 = dict(temperature=0.2, hidden_dim=4096, out_dim=256, freeze_patches=True)
optimizer = dict(
    lr=1.5e-4, final_lr=0.0, warmup_fraction=40.5 / 300, weight_decay=0.1, weight_decay_end=0.1,
    ema_momentum=0.99, ema_momentum_end=1.0, clip=0.0)
training = dict(epochs=300, batch_size=1024, drop_path=0.0, precision="fp16")
