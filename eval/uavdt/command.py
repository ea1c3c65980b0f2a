"""Fine-tune Faster R-CNN on an encoder and evaluate it on UAVDT, by the official and the COCO protocol.

    python -m eval uavdt --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG] [--set key=value ...]
    python -m eval uavdt ... --launcher slurm --nodes 1 --gpus 8         as a Slurm job, requeued where its time ends
    python -m eval uavdt ... --plan                                     what would run: steps, time, memory, disk
    python -m eval uavdt ... --test-only                                detect and score with OUT/detector.safetensors
    python -m eval uavdt bench [--checkpoint CHECKPOINT --data DIR --config CONFIG]     how fast the parts are
    python -m eval uavdt --score-only --predictions DIR --data DIR --out DIR [--name NAME]

The data are the official layout: UAV-benchmark-M/<sequence>/img000001.jpg and
UAV-benchmark-MOTD_v1.0/GT/<sequence>_gt_whole.txt and _gt_ignore.txt. --out receives the detections in the official
toolkit's format (detections/<sequence>.txt), record.json (uavdt/official@1) and record_coco.json (uavdt/coco@1).

--score-only scores saved detections, anyone's: one <sequence>.txt per test sequence with rows

    frame,-1,left,top,width,height,score,1,category

where the category is 1 car, 2 truck, 3 bus. Where it is -1 or absent, only the official protocol is computed, which
knows no categories.
"""

from functools import partial
from pathlib import Path

from eval.arguments import add_detection, evaluate_fine_tuned

add_arguments = partial(
    add_detection,
    task="eval.uavdt.run",
    config=Path("configs/uavdt/faster-rcnn_vit-s16_flsl_1x.py"),
    small=Path("configs/uavdt/faster-rcnn_smoke.py"),
    metavar="DIR",
    predictions="detections, one file per sequence (default: OUT/detections)",
)
run = partial(evaluate_fine_tuned, options=["metric_backend"])
