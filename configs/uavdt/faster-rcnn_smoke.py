# Faster R-CNN at smoke size: shows that the whole chain works, on any small encoder and a small copy of UAVDT.
#
# Expected: after 200 iterations on `python -m eval data synthesize uavdt --car 28 --plain --train-sequences 20 --sequences 4
# --frames 6` a uavdt/coco AP50 of 20 to 25 and an official AP (overlap 0.7) of 1 to 9, where an untrained detector has 0; on the
# small vehicles, nights and bridges that are drawn without these options, a few percent. Far below a full training.
# Cost: a minute and a half on 2 CPU cores with a ViT 128 wide and 4 blocks.
# Differs from the 1x recipe (faster-rcnn_vit-s16_flsl_1x.py) in everything that costs time: image and head sizes,
# sampled regions, iterations; and in what makes learning from scratch fast: group normalization, one box a region for
# all categories, more positive regions. Its figures mean nothing beside published ones.
protocol = "uavdt/faster-rcnn_smoke@2"
model = dict(
    detector="faster-rcnn",
    drop_path=0.0,
    fpn_channels=64,
    fc_channels=256,
    class_agnostic=True,
    head_norm="GN",
    anchor_scale=4,
    rpn_samples=128,
    roi_samples=64,
    roi_positives=0.5,
    train_proposals=(200, 100),
    test_proposals=(200, 100),
    ignore_overlap=0.5,
)
# Training sees 192x192 pieces at 0.6 to 1.0 of a 480x270 frame's size: more steps for the same time than whole frames.
images = dict(test_short_side=192, longest_side=342, scale_jitter=(1.5, 2.4), jitter_size=192)
training = dict(
    batch=4,
    iterations=200,
    learning_rate=1e-3,
    base_batch=4,
    warmup_iterations=20,
    clip_norm=10.0,
    keep_empty_images=True,
)
testing = dict(batch=4, score_threshold=0.01, max_detections=500)
runtime = dict(workers=0, checkpoint_every=200)
frames = dict(train_sequences=None, train_stride=1)
