"""Is a checkpoint better than none? Three frozen benchmarks on drawn data, in minutes, with nothing to download.

    python -m eval quick CHECKPOINT [--out DIR] [--device DEVICE]

The encoder stands beside the same network untrained (random), beside the mean color and place of a patch without any
network (pixels), and beside a small encoder that comes with this suite (bundled). --out receives report.html, which holds
everything, the drawn data, and a record.json for each score. A run that was interrupted goes on where it stopped.
"""

import argparse
from pathlib import Path

from flsl.commands.arguments import add_checkpoint, overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_checkpoint(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the report goes (default: runs/quick/ and the beginning of the encoder's fingerprint)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Score, print the table, and write the report."""
    from eval.quick.look import take_look
    from flsl.source import join_spec

    checkpoint = join_spec(arguments.checkpoint, overrides(arguments))
    take_look(checkpoint, arguments.out, device=arguments.device)
    return 0


def main(words: list[str]) -> int:
    """Run it as a program of its own, `flsl quick`; returns the exit code."""
    from eval.__main__ import main as evaluate

    return evaluate(["quick", *words])
