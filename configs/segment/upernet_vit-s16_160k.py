# UPerNet on a ViT-S/16, 160,000 iterations of ADE20K: mmsegmentation's configuration for plain ViTs.
#
# Expected on ADE20K validation (mIoU): DINO 42.3, SelfPatch 43.2 (ViT-S/16, SelfPatch's README).
# Cost: 160,000 iterations of 16 crops of 512x512; 8 GPUs with 2 images each. `python -m eval segment --plan` estimates it.
# Sources: mmsegmentation's vit_deit-s16_mln_upernet_8xb2-160k_ade20k-512x512; SelfPatch does not publish the file it used.
#   python -m eval segment --protocol upernet_160k --checkpoint encoder.safetensors --data DIR --out DIR
_base_ = ["./semantic-fpn_vit-s16_40k.py"]
protocol = "segment/upernet_160k@1"
model = dict(head="upernet", neck_channels=None, head_channels=512)
training = dict(iterations=160_000, batch=16, base_batch=16)
