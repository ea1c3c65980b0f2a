"""Check and print the published figures that measured ones are compared with.

    python -m results published [--table coco] [--status verified]

The data are results/published/*.csv, one figure per line; results/published/README.md says how to add or correct one.
Exit code 2, with every problem and its line number, if the files do not pass their checks.
"""

import argparse
from pathlib import Path

from results.paper import TABLES, table_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--table", default="all", help=f"print one table only: {', '.join(TABLES)}")
    parser.add_argument("--status", choices=("verified", "quoted"), help="print one status only")
    parser.add_argument("--file", type=Path, metavar="CSV", help="check and print another file of the same form")


def run(arguments: argparse.Namespace) -> int:
    """Print the figures and how many there are of each status."""
    from collections import Counter

    from results.published import STATUSES, read_figures, read_tolerances
    from results.terminal import print_rows

    names = table_names(arguments.table)
    figures = read_figures(arguments.file) if arguments.file else read_figures()
    read_tolerances()
    shown = [f for f in figures if f.table in names and arguments.status in (None, f.status)]
    columns = ("table", "protocol", "method", "backbone", "epochs", "metric", "value", "status", "source", "note")
    print_rows(columns, [[getattr(figure, name) for name in columns] for figure in shown])
    counts = Counter(figure.status for figure in shown)
    print(f"{len(shown)} figures: " + ", ".join(f"{counts[status]} {status}" for status in STATUSES))
    return 0
