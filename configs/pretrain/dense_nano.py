# Dense contrast (pretrain/methods/dense.py) at the smallest size that learns what pixels do not say: a ViT 128 wide with 4 blocks on
# 5,000 photographs with a short side of 224, 3 epochs. No published score. Cost: 8 to 10 minutes on one CPU core without bfloat16 units.
# Expected (one seed): CamVid val, in-context-hbird_102k, mIoU 37.1 (untrained 23.7, pixels/16 28.9); label propagation on 10 clips of
# DAVIS 2016 train, J&F 54.5 (48.7, 59.3); with twice the rate, which results/studies/small chose, 35.3 ± 1.2 and 56.2 ± 1.1 (two seeds). With that
# rate and training.epochs=12 (33 minutes): 42.3 and 60.4 (results/studies/longer). Rate and temperature were chosen on CamVid train,
# cut by sequence (docs/findings.md, "True places help").
name = "dense contrast nano"
method = "dense"
encoder = dict(architecture="vit_nano", patch_size=16, image_size=128)
views = dict(
    global_size=128,
    local_size=96,
    n_local=1,
    teacher_scale=(0.6, 1.0),
    global_scale=(0.15, 0.6),
    local_scale=(0.15, 0.6),
)
sampling = dict(mode="random", window_global=1, window_local=1)
contrast = dict(temperature=0.1)
optimizer = dict(lr=2.4e-2, warmup_fraction=0.34, weight_decay_end=0.04, ema_momentum=0.99, ema_momentum_end=0.99)
training = dict(epochs=3, batch_size=32, drop_path=0.0)
probe = dict(epochs=1)
runtime = dict(workers=0, log_every=20)
