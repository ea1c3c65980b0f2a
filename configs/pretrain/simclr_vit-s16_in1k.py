# SimCLR ViT-S/16 on ImageNet-1k, 300 epochs, as the paper of MoCo v3 compares with it: AdamW, lr 2e-4, weight decay 0.1 and the views
# of BYOL. Loss, temperature and projection head (two layers, 128 outputs) are those of SimCLR.
# Source: Chen et al., ICML 2020, arXiv 2002.05709 (method); Chen, Xie, He, arXiv 2104.02057, Table 4 (ViT).
# Published: linear 69.0 on ImageNet (that table), not verified here.
# Cost: not published; 300 epochs of two views of 224 pixels. The width of the projection head's middle is not published for ViT.
# Differs: in what mocov3_vit-s16_in1k.py says of the encoder (12 heads there), its initial weights, views and decay.
name, method = "SimCLR ViT-S/16", "simclr"
encoder = dict(architecture="vit_small", patch_size=16, class_token=True, position_embedding="sincos")
views = dict(global_size=224, global_scale=(0.08, 1.0))
simclr = dict(temperature=0.1, hidden_dim=2048, out_dim=128)
optimizer = dict(
    lr=2e-4, final_lr=0.0, warmup_fraction=40.5 / 300, weight_decay=0.1, weight_decay_end=0.1, clip=0.0)
training = dict(epochs=300, batch_size=1024, drop_path=0.0, precision="fp16")
