"""Follow the parts of persons in VIP by label propagation with a frozen encoder, and score the masks: mIoU over 20 parts.

    python -m eval vip --checkpoint CHECKPOINT --data DIR --out DIR [--protocol cropmae|videowalk]
    python -m eval vip --score-only --predictions DIR --data DIR --out DIR [--name NAME]

The data are the official layout: lists/val_videos.txt, Images/<video>/<number>.jpg and
Annotations/Category_ids/<video>/<number>.png.

--out receives the masks (predictions/<video>/<number>.png), the table over parts (parts.csv), a picture (sheet.png) and
record.json. A run that was interrupted goes on at the next video.

--score-only scores saved masks, anyone's: one folder per video, PNGs whose value is the part's id, of the annotation's size.
"""

import argparse

from eval.arguments import add_common_arguments, add_propagation_arguments, add_scoring, evaluate_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the adapter's arguments."""
    add_common_arguments(parser)
    parser.add_argument("--protocol", default="cropmae", help="cropmae or videowalk (default: %(default)s)")
    parser.add_argument("--split", default="val", help="list of videos: val or train (default: %(default)s)")
    add_propagation_arguments(parser, "videos")
    add_scoring(parser, "DIR", "masks (default: OUT/predictions)")


def run(arguments: argparse.Namespace) -> int:
    """Run the evaluation; returns the exit code."""
    evaluate_arguments(arguments, ("protocol", "split", "limit", "processes", "precision"))
    return 0
