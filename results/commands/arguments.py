"""Arguments and messages that several sub-commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flsl.runtime.text import printable

if TYPE_CHECKING:
    from results.leaderboard import Leaderboard
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


def deliver(text: str, out: Path | None, what: str) -> None:
    """Write text to a file, and say `what` it is; without a file, print it."""
    from flsl.runtime.files import write_text

    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        print(f"{what}: {out}")


def report_left_out(sentences: Iterable[str]) -> None:
    """Say on stderr what is not ranked, and why."""
    for sentence in sentences:
        print(f"left out: {printable(sentence)}", file=sys.stderr)


def load_apart(folders: Iterable[Path], out: Path | None) -> Loaded:
    """Return the records in folders. Raises UserError: see `load_records`; or where `out`, a file to write, is one of them."""
    from flsl.runtime.apart import require_apart
    from results.store import load_records

    loaded = load_records(folders)
    if out is not None:
        for path in (*loaded.records, *loaded.broken):
            require_apart(out, {}, {"a record": path})
    return loaded


def load_board(folders: Iterable[Path], out: Path | None) -> tuple[Leaderboard, int]:
    """Return the leaderboard of the records in folders, and of how many; says which are broken or left out."""
    from results.leaderboard import build_leaderboard

    loaded = load_apart(folders, out)
    report_broken(loaded)
    board = build_leaderboard(loaded.records)
    report_left_out(board.left_out)
    return board, len(loaded.records)
