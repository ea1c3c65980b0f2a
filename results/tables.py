"""The paper's tables with our rows in them: published lines in the paper's order, each measured one after its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from results.declaration import Benchmark, Column, TableDeclaration
from results.leaderboard import Row
from results.paper import TABLES, adapter_of
from results.published import Figure, Published
from results.verdict import Verdict, backbone_of, epochs_of, judge, overall

MARKS = {"verified": "", "quoted": "†"}


@dataclass(frozen=True)
class Cell:
    """One number: percent; if measured with its 95 % interval and, over several seeds, their standard deviation.

    `best` is that of its column among the methods of its group.
    """

    value: float
    interval: tuple[float, float] | None = None
    spread: float | None = None
    figure: Figure | None = None
    best: bool = False

    @property
    def mark(self) -> str:
        """Return the footnote mark of a quoted figure."""
        return MARKS[self.figure.status] if self.figure else ""

    @property
    def text(self) -> str:
        """Return the number as tables print it: a published one with its own decimals, ours with one."""
        whole = self.figure is None or round(self.value, 1) == self.value
        return f"{self.value:.1f}" if whole else f"{self.value:g}"


@dataclass(frozen=True)
class Line:
    """One line of a table. `origin` is what keeps published and measured apart; `note` is a footnote's text.

    `cells` go by column, as (protocol, metric); `group` is the method's, empty where methods.csv does not know it.
    """

    origin: Literal["published", "measured"]
    method: str
    backbone: str
    epochs: float | None
    cells: dict[tuple[str, str], Cell]
    group: str = ""
    note: str = ""
    cite: str = ""
    verdicts: tuple[Verdict, ...] = ()
    row: Row | None = None

    @property
    def verdict(self) -> str:
        """Return the verdict on the line; empty for a published one."""
        return overall(self.verdicts) if self.row else ""


@dataclass(frozen=True)
class Table:
    """A table ready to be written: `lines` are comparable, `others` are rows of the benchmark that are not."""

    declared: TableDeclaration
    lines: list[Line]
    others: list[Row] = field(default_factory=list)

    @property
    def columns(self) -> list[Column]:
        """The columns in which some line has a number; all of them where there is no line."""
        filled = {key for line in self.lines for key in line.cells}
        return [column for column in self.declared.columns if column.key in filled or not self.lines]

    @property
    def measured(self) -> bool:
        """Tell whether some line is ours, so that there are differences and verdicts."""
        return any(line.row for line in self.lines)

    def footnotes(self) -> list[str]:
        """Return the text under the table: what the marks mean, with sources; then sources of the other figures."""
        figures = [cell.figure for line in self.lines for cell in line.cells.values() if cell.figure]
        notes = (
            [] if adapter_of(self.declared.name) else ["No adapter here: this project does not measure these figures."]
        )
        if quoted := sorted({figure.source for figure in figures if figure.status == "quoted"}):
            notes.append(f"{MARKS['quoted']} quoted from a third party: {'; '.join(quoted)}.")
        verified: dict[str, list[str]] = {}
        for figure in figures:
            methods = verified.setdefault(figure.source, []) if figure.status == "verified" else []
            if figure.method not in methods:
                methods.append(figure.method)
        if verified:
            read = "; ".join(f"{', '.join(methods)}: {source}" for source, methods in verified.items())
            notes.append(f"Published figures as read in: {read}.")
        covers = dict.fromkeys(line.row.covers for line in self.lines if line.row)
        notes += [f"In brackets 95 % intervals {words}." for words in covers if words]
        headings = {column.key: column.heading for column in self.declared.columns}
        tolerances = {
            (headings[line.row.protocol, v.metric], v.tolerance.value, v.tolerance.reason)
            for line in self.lines
            for v in line.verdicts
            if line.row and v.tolerance
        }
        return notes + [
            f"Tolerance of {heading}: {value:g} ({reason})." for heading, value, reason in sorted(tolerances)
        ]


def build_table(name: str, rows: Sequence[Row], published: Published) -> Table:
    """Build one of the tables of `results.paper`.

    Only rows of the table's protocols on the official data stand beside published ones; other rows of the same
    benchmark go to the `others` of one table, in leaderboard order. Rows come from `build_leaderboard`, so none is partial.
    """
    declared = TABLES[name]
    lines: list[Line] = []
    for figure in (figure for figure in published.figures if figure.table == name):
        same = [line for line in lines if (line.method, line.backbone, line.epochs) == figure.row[1:]]
        if not same:
            known = published.methods[figure.method.lower()]
            shown = (known.group, figure.note, known.cite)
            same = [Line("published", figure.method, figure.backbone, figure.epochs, {}, *shown)]
            lines += same
        same[0].cells[figure.protocol, figure.metric] = Cell(figure.value, figure=figure)
    others = []
    adapter = adapter_of(name)
    for row in rows:
        if adapter is None or row.benchmark != adapter.key:
            continue
        mine = [c for c in declared.columns if c.protocol == row.protocol and c.metric.name in row.metrics]
        if not row.official or not mine:
            if _table_of(row, adapter) == name:
                others.append(row)
            continue
        line = _measured(row, mine, published)
        beside = [i for i, other in enumerate(lines) if (other.method, other.backbone) == (line.method, line.backbone)]
        lines.insert(beside[-1] + 1 if beside else len(lines), line)
    return Table(declared, _mark_best(lines, declared), others)


def _table_of(row: Row, benchmark: Benchmark) -> str:
    """Return the table of a benchmark that a row belongs to: the first with its protocol, or else the first."""
    return next((table.name for table in benchmark.tables if row.protocol in table.protocols), benchmark.tables[0].name)


def _measured(row: Row, columns: Sequence[Column], published: Published) -> Line:
    metrics = [column.metric.name for column in columns]
    method = published.methods.get(row.method.lower())
    return Line(
        origin="measured",
        method=method.name if method else row.method,
        backbone=backbone_of(row.architecture, row.patch_size),
        epochs=epochs_of(row),
        cells={
            column.key: Cell(row.metrics[m], row_interval(row, m), row.spread(m)) for column, m in zip(columns, metrics)
        },
        group=method.group if method else "",
        cite=method.cite if method else "",
        verdicts=tuple(judge(row, metric, published) for metric in metrics),
        row=row,
    )


def row_interval(row: Row, metric: str) -> tuple[float, float] | None:
    """Return a metric's interval: the row's for the headline, otherwise that of a single record."""
    if metric == row.headline:
        return None if row.interval_low is None or row.interval_high is None else (row.interval_low, row.interval_high)
    return row.records[0].metrics[metric].bounds if row.seeds == 1 else None


def _mark_best(lines: list[Line], declared: TableDeclaration) -> list[Line]:
    """Mark the best number of each column among the methods of one group, by the decimals that are printed."""
    for column in declared.columns:
        best: dict[str, float] = {}
        sign = 1 if column.metric.higher_is_better else -1
        found = [(line, line.cells[column.key]) for line in lines if line.group and column.key in line.cells]
        for line, cell in found:
            best[line.group] = max(best.get(line.group, -math.inf), sign * round(cell.value, 1))
        for line, cell in found:
            line.cells[column.key] = replace(cell, best=sign * round(cell.value, 1) == best[line.group])
    return lines
