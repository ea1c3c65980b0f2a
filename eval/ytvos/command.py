"""Follow the objects of YouTube-VOS 2018 by label propagation with a frozen encoder; write the masks for its server, or score them.

    python -m eval ytvos --checkpoint CHECKPOINT --data DIR --out DIR [--protocol dino|videowalk|cropmae] [--split SPLIT]
    python -m eval ytvos --score-only --predictions DIR --data DIR --out DIR [--name NAME]

The data are the official layout: valid/meta.json, valid/JPEGImages/<video>/00000.jpg and valid/Annotations/<video>/00000.png,
and train/meta.json. --split valid_all_frames follows every frame of valid_all_frames/JPEGImages, with the masks of valid/.

--out receives the masks (predictions/<video>/00000.png), the archive for the server (submission.zip) and record.json, and
where ground truth is at hand (not in the official valid/) the table over objects (objects.csv) and a picture (sheet.png).
Without it the record says that nothing is scored. A run that was interrupted goes on at the next video.

--score-only scores saved masks, anyone's: one folder per video, palette PNGs whose index is the object's number.
"""

import argparse

from eval.arguments import add_common_arguments, add_propagation_arguments, add_scoring, evaluate_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the adapter's arguments."""
    add_common_arguments(parser)
    parser.add_argument("--protocol", default="dino", help="dino, videowalk or cropmae (default: %(default)s)")
    parser.add_argument(
        "--split", default="valid", help="folder: valid, valid_all_frames, train, ... (default: %(default)s)"
    )
    add_propagation_arguments(parser, "videos")
    add_scoring(parser, "DIR", "masks (default: OUT/predictions)")


def run(arguments: argparse.Namespace) -> int:
    """Run the evaluation; returns the exit code."""
    evaluate_arguments(arguments, ("protocol", "split", "limit", "processes", "precision"))
    return 0
