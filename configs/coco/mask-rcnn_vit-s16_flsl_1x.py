# Mask R-CNN on a ViT-S/16, 12 epochs of COCO train2017: the FLSL authors' published settings.
#
# Expected on val2017 (box/mask AP): FLSL 44.9/40.8 (paper's abstract); for comparison SelfPatch 42.1/38.5 (200 epochs), ADCLR
# 44.3/39.7, DINO 40.8/37.3 (300 epochs, as FLSL; all ViT-S/16).
# Cost: 88,000 iterations of 16 images; one node of 8 GPUs. `python -m eval coco --plan` estimates it on yours.
# Sources: FLSL's published configuration, which is SelfPatch's.
#   python -m eval coco --checkpoint encoder.safetensors --data DIR --out DIR --config configs/coco/mask-rcnn_vit-s16_flsl_1x.py
protocol = "coco/mask-rcnn_1x@1"
data = dict(
    train_annotations="annotations/instances_train2017.json",
    train_images="train2017",
    val_annotations="annotations/instances_val2017.json",
    val_images="val2017",
)
model = dict(
    detector="mask-rcnn",
    encoder="vit_small/16",
    blocks=(3, 5, 7, 11),
    drop_path=0.05,
)
images = dict(
    train_short_sides=(480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800),
    test_short_side=800,
    longest_side=1333,
    crop=True,
    flip=0.5,
)
training = dict(
    batch=16,
    epochs=12,
    milestones=(8, 11),
    learning_rate=1e-4,
    base_batch=16,
    auto_scale=True,
    weight_decay=0.05,
    warmup_iterations=1000,
    precision="fp16",
)
testing = dict(score_threshold=0.05, max_detections=100)
runtime = dict(workers=4, checkpoint_every=2000)
