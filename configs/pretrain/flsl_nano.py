# FLSL at the size of dense_nano.py: a ViT 128 wide with 4 blocks on 5,000 photographs with a short side of 224, 3 epochs. No
# published score. Cost: 6 minutes on one CPU core without bfloat16 units. Scales are 25 times 0.1 and 0.2 over the root of the
# width, or features collapse; the teacher's mean-shift begins at the query's place (not published), or places stand for content.
# Expected (two seeds): CamVid val, in-context-hbird_102k, mIoU 30.7 ± 2.0 (untrained 23.5, pixels/16 28.9); label propagation on 10 clips
# of DAVIS 2016 train, J&F 48.4 ± 1.2 (48.7, 59.3): results/studies/small. Settings were chosen on CamVid train, cut by sequence (docs/findings.md,
# "True places help"). More epochs bring nothing: with 12, 30.6 and 45.0 (results/studies/longer).
name = "FLSL nano"
encoder = dict(architecture="vit_nano", patch_size=16, image_size=128)
head = dict(centroids=2048, hidden_dim=512, bottleneck_dim=128)
views = dict(
    global_size=128,
    local_size=96,
    n_local=1,
    teacher_scale=(0.6, 1.0),
    global_scale=(0.15, 0.6),
    local_scale=(0.15, 0.6),
)
sampling = dict(mode="random", window_global=2)
mean_shift = dict(scale_sa=0.22, scale_ca=0.44, teacher_from="place")
temperature = dict(teacher_start=0.03, teacher=0.03, warmup_epochs=0)
optimizer = dict(
    lr=1.6e-2,
    warmup_fraction=0.34,
    weight_decay_end=0.04,
    ema_momentum=0.99,
    ema_momentum_end=0.99,
    freeze_last_layer=0,
)
training = dict(epochs=3, batch_size=32, drop_path=0.0)
probe = dict(epochs=1)
runtime = dict(workers=0, log_every=20)
