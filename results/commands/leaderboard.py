"""Rank all complete records and write the leaderboard.

    python -m results leaderboard --records DIR [--out results/leaderboard.csv]

Writes a CSV file (one row a model, benchmark, protocol and data set; the same records give the same bytes) and beside
it a self-contained page with the same name and the suffix .html; prints a table. Partial and failed records are
named, never ranked.
"""

import argparse
import sys
from pathlib import Path

from results.commands.arguments import add_records_argument, report_broken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_records_argument(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("results/leaderboard.csv"), metavar="CSV", help="default: %(default)s"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the leaderboard; returns 0, also if some records were left out (each is named)."""
    from flsl.runtime.errors import UserError
    from flsl.runtime.files import write_text
    from flsl.runtime.text import printable
    from results.leaderboard import build_leaderboard, to_csv
    from results.leaderboard_page import leaderboard_page
    from results.published import read_figures, read_methods, read_tolerances
    from results.store import load_records
    from results.terminal import print_leaderboard

    if arguments.out.suffix != ".csv":
        raise UserError(f"--out {arguments.out} must end in .csv; the page is written beside it.")
    loaded = load_records(arguments.records)
    report_broken(loaded)
    board = build_leaderboard(loaded.records)
    for sentence in board.left_out:
        print(f"left out: {printable(sentence)}", file=sys.stderr)
    page = leaderboard_page(board, read_figures(), read_tolerances(), read_methods())
    write_text(arguments.out, to_csv(board.rows))
    write_text(arguments.out.with_suffix(".html"), page)
    print_leaderboard(board.rows)
    print(
        f"{len(board.rows)} rows from {len(loaded.records)} records: {arguments.out} and {arguments.out.with_suffix('.html')}"
    )
    return 0
