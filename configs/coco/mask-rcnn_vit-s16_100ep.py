# Mask R-CNN on a ViT-S/16, 100 epochs with large-scale jitter: the long schedule of ViTDet (arXiv 2203.16527, appendix).
#
# Expected: no published figure for FLSL. ViTDet's schedule, with this project's pyramid and heads in place of its own.
# Cost: 184,800 iterations of 64 images of 1024x1024; one node of 8 GPUs, several days.
# Differs from the 1x recipe: jitter 0.1..2 and crop to 1024, batch 64, layer-wise learning-rate decay 0.7, stochastic depth
# 0.1, milestones at 89 and 96 %, weight decay 0.1, 250 warm-up iterations.
_base_ = ["./mask-rcnn_vit-s16_flsl_1x.py"]
protocol = "coco/mask-rcnn_100ep@1"
model = dict(drop_path=0.1)
images = dict(scale_jitter=(0.1, 2.0), jitter_size=1024, crop=False, test_short_side=1024, longest_side=1024)
training = dict(
    batch=64,
    epochs=100,
    milestones=(88.9, 96.3),
    learning_rate=1e-4,
    base_batch=64,
    weight_decay=0.1,
    layer_decay=0.7,
    warmup_iterations=250,
    keep_empty_images=True,
)
