"""Tables in the terminal (rich)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flsl.runtime.text import printable
from results.benchmarks import METRIC_COLUMNS
from results.leaderboard import RANKS, Row, titles_of

ROWS_SHOWN = 25  # of each ranking; the CSV file has all
ALWAYS = 4  # columns of a ranking that no terminal is too narrow for: rank, model, headline, interval
WIDTH_WITHOUT_TERMINAL = 160  # columns, where output goes to a file or a pipe


def console() -> Console:
    """Return a console that leaves text as it is, and does not squeeze tables into 80 columns of a file."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=WIDTH_WITHOUT_TERMINAL)


def print_leaderboard(rows: list[Row]) -> None:
    """Print one table per ranking, best first: rank, model, headline and its interval, then what the terminal has room for."""
    out, titles = console(), titles_of(rows)
    for board, members in groupby(rows, key=lambda row: row.board):
        group = list(members)
        first, shown = group[0], group[:ROWS_SHOWN]
        out.print(Text(printable(f"{titles[board]} ({first.protocol})"), style="bold"))
        pretrained = [row.pretrained for row in shown]
        others = [name for name in METRIC_COLUMNS if name in first.metrics and name != first.headline]
        columns = [
            _Column("rank", [str(row.rank) for row in shown], right=True),
            _Column("model", [row.label for row in shown], folds=True),
            _Column(first.headline, [row.score for row in shown], right=True),
            _Column("95 % interval", ["" if row.interval_low is None else f"{row.interval_low:.1f} to {row.interval_high:.1f}" for row in shown]),
            _Column("seeds", [str(row.seeds) for row in shown], right=True),
            *(_Column(name, [f"{row.metrics[name]:.1f}" if name in row.metrics else "" for row in shown], right=True) for name in others),
            *([_Column("pretrained on", pretrained)] if len({*filter(None, pretrained)}) > 1 else []),
            _Column("method", [row.method for row in shown]),
            _Column("architecture", [row.architecture for row in shown]),
            _Column("patch", [str(row.patch_size) for row in shown], right=True),
        ]  # fmt: skip
        left_out = []
        while len(columns) > ALWAYS and sum(column.width for column in columns) + 1 > out.width:
            left_out.append(columns.pop().name)
        table = Table(header_style="bold")
        for column in columns:
            side: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(_text(column.name), justify=side, no_wrap=not column.folds, overflow="fold")
        for cells in zip(*(column.cells for column in columns)):
            table.add_row(*map(_text, cells))
        out.print(table)
        notes = [f"and {len(group) - ROWS_SHOWN} more rows"] if len(group) > ROWS_SHOWN else []
        notes += [f"no room for {', '.join(reversed(left_out))}"] if left_out else []
        notes += [f"intervals {words}" for words in dict.fromkeys(row.covers for row in shown) if words]
        if notes:
            out.print(_text("; ".join(notes)))
    out.print(RANKS)


@dataclass(frozen=True)
class _Column:
    """A column of a ranking; `folds` where a long cell may take several lines."""

    name: str
    cells: list[str]
    right: bool = False
    folds: bool = False

    @property
    def width(self) -> int:
        """Characters on a line, with the frame."""
        return max(map(len, (self.name, *self.cells))) + 3


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
