# Faster R-CNN at smoke size: shows that the whole chain works, on any small encoder and a small copy of UAVDT.
#
# Expected: on `python -m eval data synthesize uavdt` clips a uavdt/coco AP50 of a few percent from a random encoder
# (2.8 with random:vit_micro/16), where an untrained detector has 0; far below a full training.
# Cost: about 80 s of one CPU core with a ViT 192 wide and 4 blocks.
# Differs from the 1x recipe (faster-rcnn_vit-s16_flsl_1x.py) in everything that costs time: image and head sizes,
# sampled regions, iterations. Its figures mean nothing beside published ones.
protocol = "uavdt/faster-rcnn_smoke@1"
model = dict(
    detector="faster-rcnn",
    drop_path=0.0,
    fpn_channels=64,
    fc_channels=256,
    anchor_scale=4,
    rpn_samples=128,
    roi_samples=32,
    train_proposals=(200, 100),
    test_proposals=(200, 100),
    ignore_overlap=0.5,
)
# Training sees 192x192 pieces at 0.6 to 1.2 of a 480x270 frame's size: more steps for the same time than whole frames.
images = dict(test_short_side=270, longest_side=480, scale_jitter=(1.5, 3.0), jitter_size=192)
training = dict(
    batch=4,
    iterations=200,
    learning_rate=1e-3,
    base_batch=4,
    warmup_iterations=20,
    keep_empty_images=True,
)
testing = dict(batch=4, score_threshold=0.01, max_detections=500)
runtime = dict(workers=0, checkpoint_every=200)
frames = dict(train_sequences=None, train_stride=1)
