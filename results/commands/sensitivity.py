"""Tell how far the ranking of checkpoints depends on the protocol.

    python -m results sensitivity --records DIR [--format terminal|md|csv] [--out FILE]

Complete records of the same data are put side by side: a row for each checkpoint, a column for each protocol; below,
Kendall's tau between the orders of each two protocols, and which checkpoints change places.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from results.commands.arguments import add_records_argument, deliver, load_board, report_left_out

if TYPE_CHECKING:
    from results.sensitivity import Sensitivity

PAIRS_SHOWN = 5
AGREEMENT = ("protocol", "compared with", "checkpoints", "tau", "swapped pairs", "decided", "which")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_records_argument(parser)
    parser.add_argument("--format", choices=("terminal", "md", "csv"), default="terminal", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write md or csv here (default: print)")


def run(arguments: argparse.Namespace) -> int:
    """Write or print the comparison; returns 0."""
    from flsl.runtime.errors import UserError
    from flsl.runtime.text import printable
    from results.sensitivity import EXPLANATION, sensitivities
    from results.terminal import print_rows

    if arguments.out and arguments.format == "terminal":
        raise UserError("--out takes --format md or csv: a table of the terminal is no file")
    board, _ = load_board(arguments.records, arguments.out)
    found = sensitivities(board.rows)
    report_left_out(sentence for table in found for sentence in table.left_out)
    tables = [table for table in found if table.agreements]
    if not tables:
        raise UserError(
            "nothing to compare: expected are complete records of at least two checkpoints, each by at least two protocols "
            "of one benchmark on the same data. Evaluate the same checkpoints by another protocol, e.g. "
            "`python -m eval segment --protocol NAME`."
        )
    if arguments.format == "terminal":
        for table in tables:
            print(printable(table.data))
            print_rows(("checkpoint", *table.protocols), _scores(table))
            print_rows(AGREEMENT, _agreements(table))
        print(EXPLANATION)
        return 0
    text = _markdown(tables, EXPLANATION) if arguments.format == "md" else _csv(tables)
    deliver(text, arguments.out, f"{len(tables)} data sets")
    return 0


def _scores(table: "Sensitivity") -> list[list[str]]:
    """Return a row for each checkpoint: its name, and headline and interval by each protocol."""
    rows = []
    for model in table.models:
        cells = [model]
        for protocol in table.protocols:
            row = table.rows.get((model, protocol))
            interval = ""
            if row is not None and row.interval_low is not None and row.interval_high is not None:
                interval = f" [{row.interval_low:.1f}, {row.interval_high:.1f}]"
            cells.append("" if row is None else f"{row.value:.1f}{interval}")
        rows.append(cells)
    return rows


def _agreements(table: "Sensitivity") -> list[list[object]]:
    """Return a row for each two protocols."""
    rows: list[list[object]] = []
    for found in table.agreements:
        pairs = [f"{a} / {b}" for a, b in found.swapped[:PAIRS_SHOWN]]
        more = len(found.swapped) - len(pairs)
        which = ", ".join(pairs + ([f"and {more} more"] if more else []))
        tau = "all tie" if found.tau is None else f"{found.tau:+.2f}"
        rows.append([found.first, found.second, found.models, tau, len(found.swapped), found.decided, which])
    return rows


def _markdown(tables: "list[Sensitivity]", explanation: str) -> str:
    from results.escape import as_markdown, markdown_table

    def lines(columns, rows) -> str:
        written = ([*map(as_markdown, row)] for row in rows)
        return "\n".join(markdown_table([*map(as_markdown, columns)], written)) + "\n"

    parts = [
        f"## {as_markdown(table.data)}\n\n{lines(('checkpoint', *table.protocols), _scores(table))}\n"
        f"{lines(AGREEMENT, _agreements(table))}\n"
        for table in tables
    ]
    return "".join(parts) + explanation + "\n"


def _csv(tables: "list[Sensitivity]") -> str:
    """Return one line for each two protocols, numbers at full precision."""
    from pandas import DataFrame

    from results.escape import as_csv

    columns = ["data", "protocol", "compared_with", "checkpoints", "tau", "swapped_pairs", "decided"]
    rows = [
        (table.data, found.first, found.second, found.models, found.tau, len(found.swapped), found.decided)
        for table in tables
        for found in table.agreements
    ]
    return DataFrame(rows, columns=columns).map(as_csv).to_csv(index=False, lineterminator="\n")
