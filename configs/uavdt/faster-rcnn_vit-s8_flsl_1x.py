# Faster R-CNN on a ViT-S/8 encoder, UAVDT: as the ViT-S/16 recipe, with four times the tokens.
#
# Expected: the FLSL paper's UAVDT figures could not be verified, so none is claimed here.
# Cost: 24,143 training frames, 12 epochs at batch 16 = 18,100 iterations; an 800x1333 frame is about 16,700 tokens, and
# activations are recomputed on GPUs with little memory; a step takes four to six times the ViT-S/16 recipe's (estimate).
_base_ = ["./faster-rcnn_vit-s16_flsl_1x.py"]
model = dict(encoder="vit_small/8")
runtime = dict(checkpoint_activations=None)
