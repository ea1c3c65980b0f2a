"""Tables in the terminal (rich)."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flsl.runtime.text import printable
from results.benchmarks import METRIC_COLUMNS
from results.leaderboard import Row

ROWS_SHOWN = 25  # of each ranking; the CSV file has all
WIDTH_WITHOUT_TERMINAL = 160  # columns, where output goes to a file or a pipe


def console(stderr: bool = False) -> Console:
    """Return a console that leaves text as it is, and does not squeeze tables into 80 columns of a file."""
    out = Console(stderr=stderr, highlight=False)
    return out if out.is_terminal else Console(stderr=stderr, highlight=False, width=WIDTH_WITHOUT_TERMINAL)


def print_leaderboard(rows: list[Row]) -> None:
    """Print one table a (benchmark, protocol, data set), best first, with the 95 % interval of the headline."""
    out = console()
    for _, members in groupby(rows, key=lambda row: row.board):
        group = list(members)
        first = group[0]
        official = "" if first.official else " (not the official split: not comparable with published figures)"
        title = f"{first.protocol}   {first.dataset} {first.split}, {first.items} {first.item}{official}"
        out.print(Text(printable(title), style="bold"))
        table = Table(header_style="bold")
        for name in ("rank", "model", "method", "architecture", "patch"):
            table.add_column(name, justify="right" if name in ("rank", "patch") else "left")
        others = [name for name in METRIC_COLUMNS if name in first.metrics and name != first.headline]
        for name in (first.headline, "95 % interval", *others, "seeds"):
            table.add_column(_text(name), justify="right")
        for row in group[:ROWS_SHOWN]:
            interval = "" if row.interval_low is None else f"{row.interval_low:.1f} to {row.interval_high:.1f}"
            cells = [str(row.rank), row.label, row.method, row.architecture, str(row.patch_size)]
            scores = [f"{row.metrics[name]:.1f}" if name in row.metrics else "" for name in others]
            cells += [f"{row.value:.1f}", interval, *scores, str(row.seeds)]
            table.add_row(*map(_text, cells))
        out.print(table)
        if len(group) > ROWS_SHOWN:
            out.print(f"... and {len(group) - ROWS_SHOWN} more")


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print plain rows under headings; None becomes empty, numbers are set to the right."""
    rows = [list(row) for row in rows]
    table = Table(header_style="bold")
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], (int, float)) for row in rows)
        table.add_column(_text(name), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*map(_text, row))
    console().print(table)


def _text(cell: object) -> Text:
    """Return a cell that shows what it holds: no markup, no control characters."""
    return Text("" if cell is None else printable(cell))
