# VICReg ViT-S/16 on ImageNet-1k, 300 epochs. Loss, weights, expander (8192-8192-8192) and views are the published ones; they are
# published for ResNet-50 only, with LARS. For a ViT the optimizer is that of the MoCo v3 recipe, batch 2048 as published.
# Source: Bardes, Ponce, LeCun, ICLR 2022, arXiv 2105.04906.
# Published: none with ViT-S/16 that was read here (ResNet-50, 1000 epochs: linear 73.2, not verified here).
# Cost: not published; 300 epochs of two views of 224 pixels.
name, method = "VICReg ViT-S/16", "vicreg"
encoder = dict(architecture="vit_small", patch_size=16, class_token=True, position_embedding="sincos")
views = dict(global_size=224, global_scale=(0.08, 1.0))
vicreg = dict(invariance=25.0, variance=25.0, covariance=1.0, hidden_dim=8192, out_dim=8192)
optimizer = dict(
    lr=1.5e-4, final_lr=0.0, warmup_fraction=40.5 / 300, weight_decay=0.1, weight_decay_end=0.1, clip=0.0)
training = dict(epochs=300, batch_size=2048, drop_path=0.0, precision="fp16")
