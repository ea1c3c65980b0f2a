# SimCLR at laptop size, to compare with flsl_small_20e.py: the same encoder but for a class token, the same pictures in the same
# order, as many images seen; four times larger batches, since the loss compares the images of one. No published score.
# Nothing is tuned: a study chooses the learning rate (docs/studies.md).
# Cost: 6.5 GFLOP per image, 1.1 times FLSL's (counted).
name, method = "SimCLR small", "simclr"
encoder = dict(architecture="vit_mini", patch_size=16, class_token=True)
views = dict(global_scale=(0.2, 1.0))
simclr = dict(temperature=0.2, hidden_dim=1024, out_dim=128)
optimizer = dict(lr=2e-3, warmup_fraction=0.1, weight_decay=0.05, weight_decay_end=0.05)
training = dict(epochs=20, batch_size=64, drop_path=0.0)
probe = dict(epochs=5)
runtime = dict(workers=2, log_every=5)
