"""Check every record under a folder: keys, types and invariants.

    python -m results validate --records DIR

Exit code 0 if all are valid, 2 if one is not; each broken record is named with what is wrong.
"""

import argparse

from results.commands.arguments import add_records_argument, report_broken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_records_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one line a broken record and a count; returns 2 if there is any."""
    from results.store import look_through

    loaded = look_through(arguments.records)
    report_broken(loaded)
    print(f"{len(loaded.records)} valid, {len(loaded.broken)} broken")
    return 2 if loaded.broken else 0
