"""Segment images with a frozen encoder by a named protocol, and score the masks.

    python -m eval segment --checkpoint CHECKPOINT --data DIR --out DIR [--protocol NAME] [--features DIR]
    python -m eval segment --score-only --predictions DIR --data DIR --out DIR [--protocol NAME] [--name NAME]

--data is PASCAL VOC 2012, ADE20K, COCO (things or stuff), Cityscapes, CamVid, or a folder with classes.txt,
images/{train,val}/ and masks/{train,val}/*.png; which one is seen by its folders. --out receives predictions/, classes.csv,
confusion.csv, a picture of the worst and best images (sheet.png) and record.json. A run that was interrupted goes on where
it stopped.

Encoded images are kept in --features: another protocol on the same checkpoint finds there what it needs.
"""

import argparse
from pathlib import Path

from eval.arguments import add_common_arguments, add_scoring, evaluate_arguments
from eval.segment.protocols import PROTOCOLS

OPTIONS = ("protocol", "layout", "limit", "batch_size", "features")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the adapter's arguments."""
    add_common_arguments(parser)
    parser.add_argument("--protocol", default="in-context-hbird", help=f"{', '.join(PROTOCOLS)} (default: %(default)s)")
    parser.add_argument("--layout", help="of the data, where its folders fit several (default: found)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images; the record is partial")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images encoded at once (default: 4, on a GPU 32)")
    parser.add_argument(
        "--features", type=Path, metavar="DIR", help="encoded images, which runs may share (default: OUT/features)"
    )
    add_scoring(parser, "DIR", "masks (default: OUT/predictions)")


def run(arguments: argparse.Namespace) -> int:
    """Run the evaluation; returns the exit code."""
    evaluate_arguments(arguments, OPTIONS)
    return 0
