"""Fine-tune Mask R-CNN (or Faster R-CNN) on an encoder, and evaluate it on COCO or any data set in COCO format.

    python -m eval coco --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG] [--set key=value ...]
    python -m flsl launch 8 eval coco ...                               on 8 GPUs; training.batch is all of them together
    python -m eval coco ... --launcher slurm --nodes 1 --gpus 8         as a Slurm job, requeued where its time ends
    python -m eval coco ... --plan                                      what would run: steps, time, memory, disk
    python -m eval coco ... --test-only                                 detect and score with OUT/detector.safetensors
    python -m eval coco --score-only --data DIR --out DIR               score OUT/detections.json, or --predictions FILE
    python -m eval coco bench [--checkpoint CHECKPOINT --data DIR --config CONFIG]      how fast the parts are

The data are COCO's layout: annotations/instances_{train,val}2017.json, train2017/ and val2017/ (the recipe's `data`
section names them; categories come from the annotation file). --out receives detector.safetensors, detections.json
(COCO results), record.json, classes.csv, curves.png, overlay.png, config.py, mmdet_config.py and train/. The same
command goes on where an interrupted one stopped.

bench measures training steps, detection, scoring by both backends and memory; without --data on drawn scenes, at the
smoke recipe's size unless --config names another.
"""

from functools import partial
from pathlib import Path

from eval.arguments import add_detection, evaluate_fine_tuned

add_arguments = partial(
    add_detection,
    task="eval.coco.run",
    config=Path("configs/coco/mask-rcnn_vit-s16_flsl_1x.py"),
    small=Path("configs/coco/mask-rcnn_smoke.py"),
    metavar="FILE",
    predictions="COCO results (default: OUT/detections.json)",
)
run = partial(evaluate_fine_tuned, options=["metric_backend"])
