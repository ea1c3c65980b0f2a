"""The paper's tables with our rows in them: published lines in the paper's order, each measured one after its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from results.leaderboard import Row
from results.paper import TABLES, PaperTable
from results.published import Figure, Tolerance
from results.verdict import Verdict, backbone_of, judge, overall

MARKS = {"verified": "", "quoted": "†", "unverified": "‡"}


@dataclass(frozen=True)
class Cell:
    """One number: percent, with its 95 % interval if measured, `status` if published; `best` of its column."""

    value: float
    interval: tuple[float, float] | None = None
    figure: Figure | None = None
    best: bool = False

    @property
    def mark(self) -> str:
        """Return the footnote mark of a quoted or unverified figure."""
        return MARKS[self.figure.status] if self.figure else ""

    @property
    def text(self) -> str:
        """Return the number as tables print it: a published one with its own decimals, ours with one."""
        whole = self.figure is None or round(self.value, 1) == self.value
        return f"{self.value:.1f}" if whole else f"{self.value:g}"


@dataclass(frozen=True)
class Line:
    """One line of a table. `origin` is what keeps published and measured apart; `note` is a footnote's text."""

    origin: Literal["published", "measured"]
    method: str
    backbone: str
    epochs: int | None
    cells: dict[str, Cell]
    note: str = ""
    verdicts: tuple[Verdict, ...] = ()
    row: Row | None = None

    @property
    def verdict(self) -> str:
        """Return the verdict on the line; empty for a published one."""
        return overall(self.verdicts) if self.row else ""


@dataclass(frozen=True)
class Table:
    """A table ready to be written: `lines` are comparable, `others` are rows of the benchmark that are not."""

    name: str
    paper: PaperTable
    lines: list[Line]
    others: list[Row] = field(default_factory=list)

    def footnotes(self) -> list[str]:
        """Return the text under the table: what the marks mean, with sources; then sources of the other figures."""
        figures = [cell.figure for line in self.lines for cell in line.cells.values() if cell.figure]
        notes = []
        for status, lead in (
            ("quoted", "quoted from a third party"),
            ("unverified", "unverified, no reference for a verdict"),
        ):
            sources = sorted({figure.source for figure in figures if figure.status == status})
            if sources:
                notes.append(f"{MARKS[status]} {lead}: {'; '.join(sources)}.")
        verified: dict[str, list[str]] = {}
        for figure in figures:
            methods = verified.setdefault(figure.source, []) if figure.status == "verified" else []
            if figure.method not in methods:
                methods.append(figure.method)
        if verified:
            read = "; ".join(f"{', '.join(methods)}: {source}" for source, methods in verified.items())
            notes.append(f"Published figures as read in: {read}.")
        tolerances = {
            (v.metric, v.tolerance.value, v.tolerance.reason)
            for line in self.lines
            for v in line.verdicts
            if v.tolerance
        }
        notes += [
            f"Tolerance of {self.paper.columns[metric]}: {value:g} ({reason})."
            for metric, value, reason in sorted(tolerances)
        ]
        return notes


def build_table(
    name: str,
    rows: Sequence[Row],
    figures: Sequence[Figure],
    tolerances: Mapping[tuple[str, str], Tolerance],
    methods: Mapping[str, str],
) -> Table:
    """Build one of the paper's tables (`results.paper.TABLES`).

    Only rows of the table's protocol on the official data stand beside published ones; other rows of the same
    benchmark go to `others`, in leaderboard order. Rows come from `build_leaderboard`, so none is partial.
    """
    paper = TABLES[name]
    lines: list[Line] = []
    for figure in (figure for figure in figures if figure.table == name):
        same = [i for i, line in enumerate(lines) if (line.method, line.backbone, line.epochs) == figure.row[1:]]
        if not same:
            lines.append(Line("published", figure.method, figure.backbone, figure.epochs, {}, figure.note))
            same = [len(lines) - 1]
        lines[same[0]].cells[figure.metric] = Cell(figure.value, figure=figure)
    others = []
    for row in rows:
        if row.benchmark not in paper.benchmarks:
            continue
        comparable = row.official and row.protocol == paper.protocol and set(paper.columns) & row.metrics.keys()
        if not comparable:
            others.append(row)
            continue
        line = _measured(row, paper, figures, tolerances, methods)
        beside = [i for i, other in enumerate(lines) if (other.method, other.backbone) == (line.method, line.backbone)]
        lines.insert(beside[-1] + 1 if beside else len(lines), line)
    return Table(name, paper, _mark_best(lines, paper), others)


def _measured(row: Row, paper: PaperTable, figures, tolerances, methods) -> Line:
    metrics = [metric for metric in paper.columns if metric in row.metrics]
    cells = {metric: Cell(row.metrics[metric], row_interval(row, metric)) for metric in metrics}
    return Line(
        origin="measured",
        method=methods.get(row.method.lower(), row.method),
        backbone=backbone_of(row.architecture, row.patch_size),
        epochs=row.records[0].model.pretraining.get("epochs"),
        cells=cells,
        verdicts=tuple(judge(row, metric, figures, tolerances, methods) for metric in metrics),
        row=row,
    )


def row_interval(row: Row, metric: str) -> tuple[float, float] | None:
    """Return a metric's interval: the row's for the headline, otherwise that of a single record."""
    if metric == row.headline:
        return None if row.interval_low is None else (row.interval_low, row.interval_high)
    interval = row.records[0].metrics[metric].interval if row.seeds == 1 else None
    return None if interval is None or interval.units == 1 else (interval.low, interval.high)


def _mark_best(lines: list[Line], paper: PaperTable) -> list[Line]:
    """Mark the highest number of each column; an unverified figure cannot be the best."""
    for metric in paper.columns:
        values = [
            round(line.cells[metric].value, 1)
            for line in lines
            if metric in line.cells and line.cells[metric].mark != "‡"
        ]
        for line in lines:
            cell = line.cells.get(metric)
            if cell and cell.mark != "‡" and round(cell.value, 1) == max(values):
                line.cells[metric] = replace(cell, best=True)
    return lines
