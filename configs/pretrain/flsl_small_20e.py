# FLSL at laptop size: a ViT 192 wide with 6 blocks on about a thousand photographs, 20 epochs. No published score.
# Cost: 20 to 40 minutes on 2 CPU cores for 1,000 images with a short side of 224.
# Expected: the inter-view loss falls from the first epoch on; label propagation on DAVIS clips improves over the same
# network at initialisation. Constants differ from the published ones for the reasons in flsl_demo.py.
name = "FLSL small"
encoder = dict(architecture="vit_mini", patch_size=16)
head = dict(centroids=128, hidden_dim=1024, bottleneck_dim=256)
sampling = dict(mode="random")
mean_shift = dict(scale_sa=0.3 / 192**0.5, scale_ca=0.6 / 192**0.5)
temperature = dict(teacher_start=0.02, teacher=0.03, warmup_epochs=10)
optimiser = dict(lr=8e-3, warmup_fraction=0.1)
training = dict(epochs=20, batch_size=16, drop_path=0.0, workers=2, log_every=20, checkpoint_every=200)
