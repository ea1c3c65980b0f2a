"""Pack records, recipes and reports (no weights) into one archive that others can import and verify.

    python -m results bundle --records DIR --out results.zip [--reports results/leaderboard.html ...]

The archive has a manifest of sha256 hashes; `python -m results import results.zip --store DIR` checks it. Of what records
name, recipes, tables and pictures of up to 4 MiB go in; links, hidden files and everything else stay.
"""

import argparse
from pathlib import Path

from results.commands.arguments import add_records_argument, load_apart


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_records_argument(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="ZIP", help="the archive to write")
    parser.add_argument("--reports", type=Path, nargs="*", default=[], metavar="FILE", help="further files to pack")


def run(arguments: argparse.Namespace) -> int:
    """Write the archive; returns 0. A broken record stops it: what is shared should be whole."""
    from flsl.runtime.apart import require_apart
    from flsl.runtime.errors import UserError
    from results.bundle import write_bundle

    loaded = load_apart(arguments.records, arguments.out)
    for report in arguments.reports:
        require_apart(arguments.out, {}, {"a report": report})
    if loaded.broken:
        raise UserError(f"nothing was packed: {' '.join(loaded.broken.values())} Repair or remove it first.")
    names = write_bundle(loaded.records, arguments.out, arguments.reports)
    size = arguments.out.stat().st_size / 1024
    print(f"{len(loaded.records)} records, {len(names)} files, {size:.0f} KiB: {arguments.out}")
    return 0
