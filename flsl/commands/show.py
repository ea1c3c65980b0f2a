"""Draw what checkpoints see in pictures: one sheet per picture, one row per checkpoint.

python -m flsl show --checkpoint CHECKPOINT [--checkpoint ...] IMAGE [IMAGE ...] --out DIR [--point X,Y ...] [--label TEXT ...]

Columns: the features' three principal components as colors, k-means clusters (colors matched between checkpoints),
and for each point the weights of one mean-shift step (where its token moves to).
"""

import argparse
from dataclasses import replace
from pathlib import Path

LARGEST_SIDE = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, any size")
    parser.add_argument("--checkpoint", action="append", required=True, metavar="CHECKPOINT", help="repeat to compare")
    parser.add_argument("--label", action="append", metavar="TEXT", dest="labels",
                        help="what a row is called; as many as checkpoints (default: their names)")  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="DIR",
                        help="where the sheets go, named after the pictures; one of that name is replaced")  # fmt: skip
    parser.add_argument("--point", action="append", type=_point, metavar="X,Y", dest="points",
                        help="fractions of width and height, e.g. 0.5,0.5; repeat (default: three points)")  # fmt: skip
    parser.add_argument("--clusters", type=int, default=6, metavar="K", help="2 to 10 (default: %(default)s)")
    parser.add_argument(
        "--side", type=int, default=448, help="shorter side in pixels, 16 to 4096 (default: %(default)s)"
    )
    parser.add_argument("--block", type=int, metavar="N", help="features of block N, 0-based (default: the last)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: %(default)s)")


def _point(text: str) -> tuple[float, float]:
    """Parse `X,Y`."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y, e.g. 0.5,0.5") from None
    if not (0 <= x < 1 and 0 <= y < 1):
        raise argparse.ArgumentTypeError(f"{text!r}: X and Y are fractions from 0 to below 1")
    return x, y


def run(arguments: argparse.Namespace) -> int:
    """Load the checkpoints and draw."""
    from flsl.checkpoint import load_encoder
    from flsl.figure_sheet import draw_sheets
    from flsl.runtime.device import choose_device
    from flsl.runtime.errors import UserError

    if not 2 <= arguments.clusters <= 10:
        raise UserError(f"--clusters must be from 2 to 10, but is {arguments.clusters}")
    if not 16 <= arguments.side <= LARGEST_SIDE:
        raise UserError(f"--side must be from 16 to {LARGEST_SIDE} pixels, but is {arguments.side}")
    labels, specs = arguments.labels or [], arguments.checkpoint
    if labels and len(labels) != len(specs):
        raise UserError(
            f"there are {len(labels)} --label for {len(specs)} --checkpoint: give each checkpoint one, or none"
        )
    device = choose_device(arguments.device)
    checkpoints = [load_encoder(spec, device) for spec in specs]
    checkpoints = [replace(loaded, name=label) for loaded, label in zip(checkpoints, labels)] or checkpoints
    files = draw_sheets(
        checkpoints,
        arguments.images,
        arguments.out,
        points=arguments.points or [(0.5, 0.5), (0.25, 0.3), (0.75, 0.7)],
        clusters=arguments.clusters,
        side=arguments.side,
        block=arguments.block,
    )
    for file in files:
        print(file)
    return 0
