# iBOT at laptop size, to compare with flsl_small_20e.py: the same encoder but for a class token, the same pictures in the same
# order, as many images seen. No published score. Nothing is tuned: a study chooses the learning rate (docs/studies.md).
# Fewer centroids and a sharper, faster teacher than published: an average over hundreds of steps, not over hundreds of thousands.
# Cost: 15.5 GFLOP per image, 2.6 times FLSL's (counted).
name, method = "iBOT small", "ibot"
encoder = dict(architecture="vit_mini", patch_size=16, class_token=True)
views = dict(n_local=2)
head = dict(centroids=1024, hidden_dim=1024, bottleneck_dim=256)
temperature = dict(teacher_start=0.02, teacher=0.04, warmup_epochs=5)
ibot = dict(patch_temperature_start=0.02, patch_temperature=0.04)
optimizer = dict(lr=2e-3, warmup_fraction=0.1, ema_momentum=0.99)
training = dict(epochs=20, batch_size=16, drop_path=0.0)
probe = dict(epochs=5)
runtime = dict(workers=2, log_every=20)
