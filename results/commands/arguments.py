"""Arguments and messages that several sub-commands share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flsl.runtime.text import printable

if TYPE_CHECKING:
    from results.store import Loaded


def add_records_argument(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add --records."""
    parser.add_argument(
        "--records",
        type=Path,
        nargs="+",
        required=required,
        default=[],
        metavar="DIR",
        help="folders that hold record*.json files, at any depth (or such files themselves)",
    )


def report_broken(loaded: Loaded) -> None:
    """Name each record that could not be used on stderr."""
    for message in loaded.broken.values():
        print(f"broken: {printable(message)}", file=sys.stderr)
