# Mask R-CNN from scratch on drawn scenes: a task that can be solved in minutes, so that a detector that learns less than
# it should is noticed.
#
# Expected on 100 scenes after training on 2,000: box AP50 >= 80 and mask AP50 >= 75 with `random:vit_micro/8`.
# Cost: within 10 minutes on 2 CPU cores. `python -m eval data synthesize coco DIR --count 2000 --val-count 100` draws the
# data in half a minute.
# Differs from the smoke recipe in what makes learning from scratch fast: group normalization, one box and mask a region
# for all categories, more and more often positive regions; and attention inside windows of 64 pixels but for the last block
# of `vit_micro`, which saves a fifth of a step on a CPU.
_base_ = "mask-rcnn_smoke.py"
protocol = "coco/mask-rcnn_synthetic@1"
model = dict(head_norm="GN", class_agnostic=True, roi_samples=64, roi_positives=0.5, window=8, global_blocks=(3,))
training = dict(iterations=1200, warmup_iterations=100, clip_norm=10.0, precision="auto")
runtime = dict(checkpoint_every=400)
