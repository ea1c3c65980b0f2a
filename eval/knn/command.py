"""Classify pictures by the nearest neighbors of patch tokens inside their boxes (frozen features, no training, a quick check).

    python -m eval knn --checkpoint CHECKPOINT --data DIR --out DIR [--limit N]

--data is one of

    ImageNet with its boxes   train/<class>/*.JPEG and val/, or Data/CLS-LOC/train and val, with the official box files
                              Annotations/CLS-LOC/train/<class>/*.xml and Annotations/CLS-LOC/val/*.xml
    any COCO-format data      annotations/instances_train2017.json and instances_val2017.json, train2017/, val2017/
    class folders             train/<class>/*.jpg and val/<class>/*.jpg (ImageFolder): without boxes the whole picture is taken;
                              `python -m eval data prepare images DIR --out DIR` makes val/ of a part of train/

--out receives predictions.npz (what each token and each image was taken for) and record.json (protocol knn/bbox@1, or
knn/image@1 for class folders).
"""

import argparse

from eval.arguments import add_common_arguments, evaluate_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the adapter's arguments."""
    add_common_arguments(parser)
    parser.add_argument(
        "--limit", type=int, metavar="N", help="classify the first N images only; the record is then partial"
    )
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="images at once (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the evaluation; returns the exit code."""
    return evaluate_arguments(arguments, ("limit", "batch_size"))
