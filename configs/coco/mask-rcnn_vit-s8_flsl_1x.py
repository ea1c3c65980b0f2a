# Mask R-CNN on a ViT-S/8, 12 epochs of COCO train2017: as the ViT-S/16 recipe, with four times the tokens.
#
# Expected on val2017 (box/mask AP): FLSL 46.5/42.1 (paper's abstract).
# Cost: an 800x1333 image is about 16,700 tokens. Activations are recomputed on GPUs with little memory; a step takes
# several times the ViT-S/16 recipe's. `--plan` estimates it on your GPUs.
# The authors published architecture and result of this size, not its configuration: everything else is as for ViT-S/16.
_base_ = ["./mask-rcnn_vit-s16_flsl_1x.py"]
model = dict(encoder="vit_small/8")
runtime = dict(checkpoint_activations=None)
