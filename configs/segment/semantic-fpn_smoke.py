# Semantic FPN at smoke size: shows that the whole chain works, on any small encoder and any data set of segmentation.
#
# Expected on CamVid (train -> val) from `random:vit_micro/16`: mIoU 28 (sky 82, road 85, building 50, pavement 50, car 30; small
# classes are not found).
# Cost: five minutes of CPU time for that.
# Differs from the published recipe (semantic-fpn_vit-s16_40k.py) in everything that costs time, and has the detectors'
# pyramid. Its figures mean nothing beside published ones.
protocol = "segment/semantic-fpn_smoke@1"
model = dict(head="semantic-fpn", drop_path=0.0, pyramid=True, neck_channels=64, head_channels=64, dropout=0.0)
images = dict(short_side=192, longest_side=512, scale=(0.75, 1.5), crop=160)
training = dict(
    iterations=400, batch=8, base_batch=8, learning_rate=1e-3, warmup_iterations=40, warmup_factor=0.001, precision="fp32"
)
testing = dict(batch=1, precision="fp32")
runtime = dict(workers=0, checkpoint_every=200)
