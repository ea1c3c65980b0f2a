"""Tables as Markdown, CSV and HTML (`results.render_tex`: LaTeX). A column that no line fills is left out."""

import csv
import io
from collections.abc import Sequence
from itertools import groupby

from results.declaration import Column
from results.escape import as_csv, as_html, as_markdown, markdown_table
from results.tables import MARKS, Cell, Line, Table, row_interval
from results.verdict import backbone_of

OTHERS = "Other results: not the official data or not this protocol, so not comparable with the table above"
CSV_COLUMNS = (
    "table", "section", "protocol", "dataset", "split", "method", "backbone", "epochs", "model", "metric", "value",
    "interval_low", "interval_high", "status", "source", "difference", "tolerance", "verdict", "reason",
)  # fmt: skip
CSV_NUMBERS = {"value", "interval_low", "interval_high", "difference", "tolerance"}


def headings(table: Table) -> list[str]:
    """Return the table's column headings, left to right."""
    epochs = ["Epochs"] if table.declared.epochs else []
    ours = ["Difference", "Verdict"] if table.measured else []
    return ["Method", "Backbone", *epochs, *(column.heading for column in table.columns), *ours]


def differences(line: Line) -> str:
    """Return measured minus published of each metric that has a figure, with its mark, e.g. `+0.2 / −0.1†`."""
    found = [
        f"{verdict.difference:+.1f}{MARKS[verdict.figure.status]}"
        for verdict in line.verdicts
        if verdict.difference is not None and verdict.figure
    ]
    return " / ".join(found).replace("-", "−")


def labels_of(table: Table, line: Line, notes: list[str], mark: str = "[{}]") -> list[str]:
    """Return the cells left of the numbers; collects the line's footnote into `notes`, to which a `mark` refers."""
    method = f"{line.method} (ours: {line.row.label})" if line.row else line.method
    if line.note:
        if line.note not in notes:
            notes.append(line.note)
        method += " " + mark.format(notes.index(line.note) + 1)
    epochs = [str(line.epochs or "")] if table.declared.epochs else []
    return [method, line.backbone, *epochs]


def _number(cell: Cell | None) -> str:
    if cell is None:
        return ""
    interval = f" [{cell.interval[0]:.1f}, {cell.interval[1]:.1f}]" if cell.interval else ""
    spread = "" if cell.spread is None else f" ± {cell.spread:.1f}"
    return f"{cell.text}{cell.mark}{spread}{interval}"


def footnotes(table: Table, notes: Sequence[str], mark: str = "[{}]") -> list[str]:
    """Return what stands below a table: the lines' numbered notes, and what marks and figures mean."""
    return [f"{mark.format(index)} {note}." for index, note in enumerate(notes, start=1)] + table.footnotes()


def other_cells(table: Table) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of what is of the benchmark but not comparable with the table."""
    head = ["Model", "Method", "Backbone", "Protocol", "Data", "Metric", "Value", "95 % interval"]
    body = []
    for row in table.others:
        interval = "" if row.interval_low is None else f"[{row.interval_low:.1f}, {row.interval_high:.1f}]"
        backbone = backbone_of(row.architecture, row.patch_size)
        data = f"{row.dataset} {row.split} ({row.items} {row.item})"
        body.append([row.label, row.method, backbone, row.protocol, data, row.headline, row.score, interval])
    return head, body


def to_markdown(tables: Sequence[Table]) -> str:
    """Return the tables as GitHub Markdown; measured rows are in italics, the best of a column and group is bold."""
    parts = []
    for table in tables:
        notes: list[str] = []
        body = []
        for line in table.lines:
            labels = [as_markdown(label) for label in labels_of(table, line, notes)]
            if line.row:
                labels[0] = f"*{labels[0]}*"
            cells = [line.cells.get(column.key) for column in table.columns]
            numbers = [f"**{_number(cell)}**" if cell and cell.best else _number(cell) for cell in cells]
            body.append([*labels, *numbers, *([differences(line), line.verdict] if table.measured else [])])
        parts += [f"## {table.declared.title}", "", *markdown_table(headings(table), body), ""]
        parts += [f"{as_markdown(note)}  " for note in footnotes(table, notes)] + [""]
        if table.others:
            head, rows = other_cells(table)
            parts += [f"### {OTHERS}", "", *markdown_table(head, [[*map(as_markdown, row)] for row in rows]), ""]
    return "\n".join(parts).rstrip() + "\n"


def to_csv(tables: Sequence[Table]) -> str:
    """Return the tables as CSV, one line a number, the same columns for every table; full precision."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()

    def write(cells: dict[str, str]) -> None:
        writer.writerow({name: cell if name in CSV_NUMBERS else as_csv(cell) for name, cell in cells.items()})

    for table in tables:
        for line in table.lines:
            for column in (column for column in table.declared.columns if column.key in line.cells):
                write(_csv_line(table, line, column))
        for row in table.others:
            place = {"table": table.declared.name, "section": "not comparable", "protocol": row.protocol}
            data = {"dataset": row.dataset, "split": row.split}
            model = {
                "method": row.method,
                "backbone": backbone_of(row.architecture, row.patch_size),
                "model": row.label,
            }
            score = {"metric": row.headline, "value": f"{row.value:.4f}", "verdict": "no reference"}
            write(place | data | model | score | _csv_interval(row_interval(row, row.headline)))
    return buffer.getvalue()


def _csv_line(table: Table, line: Line, column: Column) -> dict[str, str]:
    cell, metric = line.cells[column.key], column.metric.name
    cells = {"table": table.declared.name, "section": line.origin, "protocol": column.protocol, "method": line.method}
    cells |= {"backbone": line.backbone, "epochs": str(line.epochs or ""), "metric": metric}
    if cell.figure:
        return cells | {"value": f"{cell.value:g}", "status": cell.figure.status, "source": cell.figure.source}
    row, verdict = line.row, next(verdict for verdict in line.verdicts if verdict.metric == metric)
    assert row is not None  # a line is published or measured
    cells |= {"model": row.label, "dataset": row.dataset, "split": row.split, "value": f"{cell.value:.4f}"}
    cells |= {"verdict": verdict.word, "reason": verdict.reason, **_csv_interval(cell.interval)}
    if verdict.difference is not None:
        cells["difference"] = f"{verdict.difference:.4f}"
    if verdict.tolerance:
        cells["tolerance"] = f"{verdict.tolerance.value:g}"
    return cells


def _csv_interval(interval: tuple[float, float] | None) -> dict[str, str]:
    return {"interval_low": f"{interval[0]:.4f}", "interval_high": f"{interval[1]:.4f}"} if interval else {}


def to_html(tables: Sequence[Table]) -> str:
    """Return the tables as HTML sections (the page around them comes from `results.page`)."""
    parts = []
    for table in tables:
        notes: list[str] = []
        body = []
        for line in table.lines:
            labels = [as_html(label) for label in labels_of(table, line, notes)]
            cells = [f"<th scope=row>{labels[0]}</th>", *(f"<td>{label}</td>" for label in labels[1:])]
            for cell in (line.cells.get(column.key) for column in table.columns):
                kinds = ["number"] + ["best"] * bool(cell and cell.best)
                kinds += [cell.figure.status] if cell and cell.figure else []
                cells.append(f'<td class="{" ".join(kinds)}">{_number(cell)}</td>')
            word, kind = line.verdict, line.verdict.replace(" ", "-")
            ours = f"<td class=number>{differences(line)}</td><td class='verdict {kind}'>{word}</td>"
            cells += [ours] * table.measured
            body.append(f"<tr class={line.origin}>{''.join(cells)}</tr>")
        head = _html_head(table)
        parts.append(f"<section><h2>{as_html(table.declared.title)}</h2><div class=scroll tabindex=0><table>")
        parts.append(f"<thead>{head}</thead><tbody>{''.join(body)}</tbody></table></div>")
        parts += [f"<p class=footnote>{as_html(note)}</p>" for note in footnotes(table, notes)]
        if table.others:
            columns, rows = other_cells(table)
            names = "".join(f"<th scope=col>{as_html(name)}</th>" for name in columns)
            lines = "".join("<tr>" + "".join(f"<td>{as_html(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            parts.append(f"<h3>{as_html(OTHERS)}</h3><div class=scroll tabindex=0><table class=others>")
            parts.append(f"<thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>")
        parts.append("</section>")
    return "\n".join(parts)


def column_groups(table: Table) -> list[tuple[str, list[Column]]]:
    """Return neighboring columns of one group together: its heading, or an empty one, and they."""
    return [(name, list(members)) for name, members in groupby(table.columns, key=lambda column: column.metric.group)]


def _html_head(table: Table) -> str:
    """Return the rows of headings: one, or two where columns have a group."""
    names, groups = headings(table), column_groups(table)
    if not any(name for name, _ in groups):
        return f"<tr>{''.join(f'<th scope=col>{as_html(name)}</th>' for name in names)}</tr>"
    left = len(names) - len(table.columns) - 2 * table.measured
    alone = [
        f"<th scope=col rowspan=2>{as_html(name)}</th>" for name in (*names[:left], *names[left + len(table.columns) :])
    ]
    spans = [f"<th scope=colgroup colspan={len(members)}>{as_html(name)}</th>" for name, members in groups]
    below = [f"<th scope=col class=number>{as_html(column.short)}</th>" for column in table.columns]
    return f"<tr>{''.join([*alone[:left], *spans, *alone[left:]])}</tr><tr>{''.join(below)}</tr>"
