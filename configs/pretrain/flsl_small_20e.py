# FLSL at laptop size: a ViT 192 wide with 6 blocks on about a thousand photographs, 20 epochs. No published score.
# Cost: 8 minutes on 2 CPU cores with bfloat16 units, 20 to 40 without, for 1,000 images with a short side of 224.
# Expected: the inter-view loss falls from the first epoch on, and the features get no better by it: with these scales, the
# published ones for this width, tokens collapse (effective rank 3, untrained 11.5; the probe says so), and on the 20 videos of DAVIS 2016
# val J&F is 40.4, untrained 40.6. It is here to be compared with; flsl_nano.py and dense_nano.py learn more in less time
# (docs/findings.md, "A falling loss says little"). Fewer centroids and sharper teacher assignments than published: those
# assume ImageNet and 512 images a step. A four times higher learning rate gets a lower loss and worse features.
name = "FLSL small"
encoder = dict(architecture="vit_mini", patch_size=16)
head = dict(centroids=128, hidden_dim=1024, bottleneck_dim=256)
sampling = dict(mode="random")
mean_shift = dict(scale_sa=0.0072, scale_ca=0.0144)
temperature = dict(teacher_start=0.02, teacher=0.03, warmup_epochs=10)
optimizer = dict(lr=2e-3, warmup_fraction=0.1)
training = dict(epochs=20, batch_size=16, drop_path=0.0)
probe = dict(epochs=5)
runtime = dict(workers=2, log_every=20)
