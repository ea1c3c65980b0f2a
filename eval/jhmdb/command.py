"""Follow the joints of persons in JHMDB by label propagation with a frozen encoder, and score the poses: PCK.

    python -m eval jhmdb --checkpoint CHECKPOINT --data DIR --out DIR [--protocol cropmae|videowalk]
    python -m eval jhmdb --score-only --predictions DIR --data DIR --out DIR [--name NAME]

The data are the official layout: splits/<action>_test_split1.txt, Rename_Images/<action>/<clip>/00001.png and
joint_positions/<action>/<clip>/joint_positions.mat.

--out receives the poses (predictions/<action>/<clip>/poses.json), the table over joints (joints.csv), a picture (sheet.png)
and record.json. A run that was interrupted goes on at the next clip.

--score-only scores saved poses, anyone's; `eval/jhmdb/poses.py` says what the files hold.
"""

import argparse

from eval.arguments import add_common_arguments, add_propagation_arguments, add_scoring, evaluate_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the adapter's arguments."""
    add_common_arguments(parser)
    parser.add_argument("--protocol", default="cropmae", help="cropmae or videowalk (default: %(default)s)")
    parser.add_argument("--split", default="test", help="test or train (default: %(default)s)")
    add_propagation_arguments(parser, "clips")
    add_scoring(parser, "DIR", "poses (default: OUT/predictions)")


def run(arguments: argparse.Namespace) -> int:
    """Run the evaluation; returns the exit code."""
    evaluate_arguments(arguments, ("protocol", "split", "limit", "processes", "precision"))
    return 0
