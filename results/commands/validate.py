"""Check every record under a folder: keys, types and invariants.

    python -m results validate --records DIR

Exit code 0 if all are valid, 2 if one is not; each broken record is named with what is wrong.
"""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "--records", type=Path, nargs="+", required=True, metavar="DIR", help="folders (or files) to look through"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print one line a broken record and a count; returns 2 if there is any."""
    from results.store import load_records

    loaded = load_records(arguments.records)
    for message in loaded.broken.values():
        print(f"broken: {message}", file=sys.stderr)
    print(f"{len(loaded.records)} valid, {len(loaded.broken)} broken")
    return 2 if loaded.broken else 0
