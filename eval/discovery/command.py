"""Find the main object of every picture by frozen features, and see how often the box is an object's (no training).

    python -m eval discovery --checkpoint CHECKPOINT --data DIR --out DIR [--protocol lost|tokencut] [--limit N]
    python -m eval discovery --score-only --predictions boxes.json --data DIR --out DIR [--name NAME]

--data is one of

    Pascal VOC 2007 or 2012   JPEGImages/, Annotations/*.xml and ImageSets/Main/trainval.txt (or a folder that holds
                              VOC2007/ or VOCdevkit/VOC2007/, ...)
    COCO 20k                  coco_20k_filenames.txt, annotations/instances_train2014.json and train2014/
    any COCO-format data      annotations/instances_val2017.json and val2017/

--out receives boxes.json ([left, top, right, bottom] of each image), a picture of the worst and best images (sheet.png) and
record.json with CorLoc: the share of images whose box overlaps an object by a half or more. A run that was interrupted goes
on with the images that are left.

--score-only scores saved boxes, anyone's.
"""

import argparse

from eval.arguments import add_common_arguments, add_scoring, evaluate_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the adapter's arguments."""
    add_common_arguments(parser)
    parser.add_argument("--protocol", default="lost", help="lost or tokencut (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images; the record is then partial")
    add_scoring(parser, "FILE", "boxes (default: OUT/boxes.json)")


def run(arguments: argparse.Namespace) -> int:
    """Run the evaluation; returns the exit code."""
    return evaluate_arguments(arguments, ("protocol", "limit"))
