# A small ViT on a few hundred images, for `make demo`: minutes on a laptop's CPU. No published score.
# The published temperatures and scales assume ImageNet and 512 images a step; at this size fewer centroids, sharper
# teacher assignments and larger mean-shift scales learn from the first epoch on.
name = "FLSL demo"
encoder = dict(architecture="vit_micro", patch_size=16)
head = dict(centroids=128, hidden_dim=512, bottleneck_dim=128)
views = dict(global_size=224, local_size=96, n_local=2)
sampling = dict(mode="random")
mean_shift = dict(scale_sa=0.3 / 192**0.5, scale_ca=0.6 / 192**0.5)
temperature = dict(teacher_start=0.02, teacher=0.03, warmup_epochs=4)
optimizer = dict(lr=5e-3, warmup_fraction=0.2, freeze_last_layer=0)
training = dict(epochs=8, batch_size=16, drop_path=0.0, precision="auto")
probe = dict(epochs=4)
runtime = dict(workers=2, log_every=10)
