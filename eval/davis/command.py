"""Follow the objects of DAVIS 2017 or 2016 by label propagation with a frozen encoder, and score the masks.

    python -m eval davis --checkpoint CHECKPOINT --data DIR --out DIR [--protocol dino|dinov3|videowalk|cropmae] [--overlay]
    python -m eval davis --score-only --predictions DIR --data DIR --out DIR [--name NAME]
    python -m eval davis bench [--patch-sizes 16 8] [--device cuda] [--json FILE]

The data are the official layout: ImageSets/2017/val.txt, JPEGImages/480p/<sequence>/00000.jpg and
Annotations/480p/<sequence>/00000.png. DAVIS 2016 is known by its lists (ImageSets/480p/val.txt); its masks are 0 and 255,
and its results davis2016/<protocol>.

--out receives the masks (predictions/<sequence>/00000.png), the table over objects (objects.csv), a picture (overlay.png)
and record.json. A run that was interrupted goes on at the next sequence.

--score-only scores saved masks, anyone's: one folder per sequence, palette PNGs whose index is the object's id.

bench times the plain and the fast form of everything side by side on drawn frames.
"""

import argparse
from pathlib import Path

from eval.arguments import PROPAGATION, add_propagation, evaluate_arguments

OPTIONS = (*PROPAGATION, "videos", "overlay", "metric_backend")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the adapter's arguments."""
    add_propagation(
        parser,
        protocols=("dino", "dinov3", "videowalk", "cropmae"),
        split="val",
        splits="list of sequences: val or train",
        items="sequences",
        predictions="masks",
    )
    parser.add_argument("mode", nargs="?", choices=("bench",), help="measure speed and memory instead of evaluating")
    parser.add_argument("--videos", nargs="+", metavar="NAME", help="only these sequences; the record is partial")
    parser.add_argument("--overlay", action="store_true", help="a contact sheet and an animation of every sequence too")
    parser.add_argument(
        "--metric-backend",
        choices=("packed", "official"),
        default="packed",
        help="own code, or the public davis2017 package, which gives the same (default: %(default)s)",
    )
    parser.add_argument(
        "--patch-sizes", type=int, nargs="+", default=[16, 8], metavar="P", help="bench: of ViT-S (default: 16 8)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="bench: write the figures here too")


def run(arguments: argparse.Namespace) -> int:
    """Run the evaluation; returns the exit code."""
    if arguments.mode == "bench":
        from eval.davis.bench import bench

        return bench(arguments.patch_sizes, arguments.device, arguments.json)
    return evaluate_arguments(arguments, OPTIONS)
