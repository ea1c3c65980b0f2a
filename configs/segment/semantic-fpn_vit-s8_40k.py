# Semantic FPN on a ViT-S/8, 40,000 iterations of ADE20K: the settings of semantic-fpn_vit-s16_40k.py with patches of 8.
#
# Expected on ADE20K validation: nobody publishes a figure.
# Cost: 4,096 tokens a crop, four times as many as with patches of 16. `python -m eval segment --plan` estimates it.
# Sources: as there. The head sees four maps of stride 8 (outputs of blocks 2, 5, 8 and 11), not a pyramid.
#   python -m eval segment --protocol semantic-fpn_40k --checkpoint encoder.safetensors --data DIR --out DIR \
#     --config configs/segment/semantic-fpn_vit-s8_40k.py
_base_ = ["./semantic-fpn_vit-s16_40k.py"]
model = dict(encoder="vit_small/8")
runtime = dict(checkpoint_activations=True)
