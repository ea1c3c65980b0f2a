# Mask R-CNN on a ViT-S/8, 12 epochs of COCO train2017, with attention inside windows in eight of the twelve blocks.
#
# Expected: no published figure. It is for GPUs on which the published recipe (mask-rcnn_vit-s8_flsl_1x.py) takes too long:
# a window of 28x28 tokens covers 224x224 pixels, the size of pretraining; every third block attends to the whole image, as
# ViTDet does (arXiv 2203.16527). Windows are named in the protocol, so its figures are never ranked with the published ones.
# Cost: `--plan` estimates it on yours.
_base_ = ["./mask-rcnn_vit-s8_flsl_1x.py"]
model = dict(window=28, global_blocks=(2, 5, 8, 11))
