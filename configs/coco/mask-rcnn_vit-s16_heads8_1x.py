# Ablation: the ViT-S/16 recipe with 8 attention heads in place of the architecture's 6.
#
# The FLSL authors' published detector configuration says 8 heads, while pretraining has 6. The weights load either way, but
# compute another attention. This recipe shows what the slip costs; it is not the method.
# Expected: unknown; below mask-rcnn_vit-s16_flsl_1x.py. Cost: the same.
_base_ = ["./mask-rcnn_vit-s16_flsl_1x.py"]
protocol = "coco/mask-rcnn_1x-heads8@1"
model = dict(num_heads=8)
