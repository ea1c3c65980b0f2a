"""Rank all complete records and write the leaderboard.

    python -m results leaderboard --records DIR [--out results/leaderboard.csv]

Writes a CSV file (one row per model, benchmark, protocol and data set; the same records give the same bytes) and beside
it a self-contained page with the same name and the suffix .html; prints a table. Partial and failed records are
named, never ranked.
"""

import argparse
from pathlib import Path

from results.commands.arguments import add_records_argument, load_board


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
    from results.leaderboard import to_csv
    from results.leaderboard_page import leaderboard_page
    from results.published import read_published
    from results.terminal import print_leaderboard

    if arguments.out.suffix != ".csv":
        raise UserError(f"--out {arguments.out} must end in .csv; the page is written beside it.")
    board, records = load_board(arguments.records, arguments.out)
    page = leaderboard_page(board, read_published())
    write_text(arguments.out, to_csv(board.rows))
    write_text(arguments.out.with_suffix(".html"), page)
    print_leaderboard(board.rows)
    print(f"{len(board.rows)} rows from {records} records: {arguments.out} and {arguments.out.with_suffix('.html')}")
    return 0
