# DINO ViT-S/16 on ImageNet-1k, 100 epochs: the defaults of the authors' code for one node of 8 GPUs.
# Source: Caron et al., ICCV 2021, arXiv 2104.14294, and facebookresearch/dino 7c446df (main_dino.py, README).
# Published: k-NN 74.5, linear 77.0 on ImageNet (DINO repository README), DAVIS 2017 J&F 61.8 (paper, Table 5), all of the authors'
# longer run, which has other settings; a score of these 100 epochs is not verified here.
# Cost: about 1.8 days on 8 GPUs by the authors' README, not verified here.
name, method = "DINO ViT-S/16", "dino"
encoder = dict(architecture="vit_small", patch_size=16, class_token=True, position_embedding="learned")
views = dict(global_size=224, global_scale=(0.4, 1.0), local_size=96, local_scale=(0.05, 0.4), n_local=8)
head = dict(centroids=65536, norm_last_layer=True)
temperature = dict(student=0.1, teacher_start=0.04, teacher=0.04, warmup_epochs=0)
dino = dict(center_momentum=0.9)
optimizer = dict(lr=5e-4, warmup_fraction=0.1, weight_decay=0.04, weight_decay_end=0.4, ema_momentum=0.996, clip=3.0)
training = dict(epochs=100, batch_size=512, drop_path=0.1, precision="fp16")
