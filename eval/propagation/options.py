"""What can be chosen for every label propagation, and its arguments."""

import argparse
from typing import Literal

from flsl.runtime.schema import PositiveInt, section


@section
class Options:
    """Nothing here but `protocol`, `split` and `precision` changes a prediction."""

    protocol: str
    split: str = "val"  # list of videos
    limit: PositiveInt | None = None  # only the first so many; the record is partial
    processes: PositiveInt = 1  # that share the videos, and the GPUs
    precision: Literal["fp32", "bf16"] = "fp32"  # of the encoder


def add_propagation_arguments(parser: argparse.ArgumentParser, item: str) -> None:
    """Add what changes no protocol; `item` is what is evaluated one by one, in the plural."""
    parser.add_argument("--limit", type=int, metavar="N", help=f"only the first N {item}; the record is partial")
    parser.add_argument("--processes", type=int, default=1, help=f"share the {item} (and GPUs) (default: %(default)s)")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="of the encoder (default: %(default)s)"
    )
