# Mask R-CNN at smoke size: shows that the whole chain works, on any small encoder and any small COCO-format data set.
#
# Expected: on `python -m eval data synthesize coco` scenes far above the untrained detector, far below a full training.
# Cost: a minute and a quarter on 2 CPU cores with a ViT 128 wide and 4 blocks. Box AP50 about 20 there.
# Differs from the published recipe (mask-rcnn_vit-s16_flsl_1x.py) in everything that costs time: image and head sizes,
# sampled regions, iterations. Its figures mean nothing beside published ones.
protocol = "coco/mask-rcnn_smoke@2"
data = dict(
    train_annotations="annotations/instances_train2017.json",
    train_images="train2017",
    val_annotations="annotations/instances_val2017.json",
    val_images="val2017",
)
model = dict(
    detector="mask-rcnn",
    drop_path=0.0,
    fpn_channels=64,
    fc_channels=256,
    mask_channels=64,
    mask_convs=2,
    anchor_scale=4,
    rpn_samples=128,
    roi_samples=32,
    train_proposals=(200, 100),
    test_proposals=(200, 100),
)
images = dict(train_short_sides=(192,), test_short_side=192, longest_side=256, crop=False)
training = dict(
    batch=4,
    iterations=110,
    learning_rate=1e-3,
    base_batch=4,
    warmup_iterations=30,
    precision="fp32",
    keep_empty_images=False,
)
testing = dict(batch=4)
runtime = dict(workers=0, checkpoint_every=110)
