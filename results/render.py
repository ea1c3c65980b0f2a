"""Tables as Markdown, CSV, LaTeX (booktabs) and HTML."""

import csv
import io
from collections.abc import Sequence

from results.declaration import Column
from results.escape import as_csv, as_html, as_markdown, as_tex
from results.tables import MARKS, Cell, Line, Table
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
    return ["Method", "Backbone", *epochs, *(c.heading for c in table.declared.columns), "Difference", "Verdict"]


def differences(line: Line) -> str:
    """Return measured minus published of each metric that has a figure, with its mark, e.g. `+0.2 / −0.1†`."""
    found = [
        f"{verdict.difference:+.1f}{MARKS[verdict.figure.status]}"
        for verdict in line.verdicts
        if verdict.difference is not None and verdict.figure
    ]
    return " / ".join(found).replace("-", "−")


def _labels(table: Table, line: Line, notes: list[str]) -> list[str]:
    """Return the cells left of the numbers; collects the line's footnote into `notes`."""
    method = f"{line.method} (ours: {line.row.label})" if line.row else line.method
    if line.note:
        if line.note not in notes:
            notes.append(line.note)
        method += f" [{notes.index(line.note) + 1}]"
    epochs = [str(line.epochs or "")] if table.declared.epochs else []
    return [method, line.backbone, *epochs]


def _number(cell: Cell | None) -> str:
    if cell is None:
        return ""
    interval = f" [{cell.interval[0]:.1f}, {cell.interval[1]:.1f}]" if cell.interval else ""
    spread = "" if cell.spread is None else f" ± {cell.spread:.1f}"
    return f"{cell.text}{cell.mark}{spread}{interval}"


def _footnotes(table: Table, notes: Sequence[str]) -> list[str]:
    return [f"[{index}] {note}." for index, note in enumerate(notes, start=1)] + table.footnotes()


def _other_cells(table: Table) -> tuple[list[str], list[list[str]]]:
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

    def grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
        return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *body)]

    parts = []
    for table in tables:
        notes: list[str] = []
        body = []
        for line in table.lines:
            labels = [as_markdown(label) for label in _labels(table, line, notes)]
            if line.row:
                labels[0] = f"*{labels[0]}*"
            cells = [line.cells.get(column.key) for column in table.declared.columns]
            numbers = [f"**{_number(cell)}**" if cell and cell.best else _number(cell) for cell in cells]
            body.append([*labels, *numbers, differences(line), line.verdict])
        parts += [f"## {table.declared.title}", "", *grid(headings(table), body), ""]
        parts += [f"{as_markdown(note)}  " for note in _footnotes(table, notes)] + [""]
        if table.others:
            head, rows = _other_cells(table)
            parts += [f"### {OTHERS}", "", *grid(head, [[as_markdown(cell) for cell in row] for row in rows]), ""]
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
            for column in table.declared.columns:
                if column.key in line.cells:
                    write(_csv_line(table, line, column))
        for row in table.others:
            place = {
                "table": table.declared.name,
                "section": "not comparable",
                "protocol": row.protocol,
                "dataset": row.dataset,
            }
            model = {
                "split": row.split,
                "method": row.method,
                "backbone": backbone_of(row.architecture, row.patch_size),
            }
            score = {"model": row.model, "metric": row.headline, "value": f"{row.value:.4f}", "verdict": "no reference"}
            write(place | model | score)
    return buffer.getvalue()


def _csv_line(table: Table, line: Line, column: Column) -> dict[str, str]:
    cell, metric = line.cells[column.key], column.metric.name
    cells = {"table": table.declared.name, "section": line.origin, "protocol": column.protocol, "method": line.method}
    cells |= {"backbone": line.backbone, "epochs": str(line.epochs or ""), "metric": metric}
    if cell.figure:
        return cells | {"value": f"{cell.value:g}", "status": cell.figure.status, "source": cell.figure.source}
    row, verdict = line.row, next(verdict for verdict in line.verdicts if verdict.metric == metric)
    assert row is not None  # a line is published or measured
    cells |= {"model": row.model, "dataset": row.dataset, "split": row.split, "value": f"{cell.value:.4f}"}
    cells |= {"verdict": verdict.word, "reason": verdict.reason}
    if cell.interval:
        cells |= {"interval_low": f"{cell.interval[0]:.4f}", "interval_high": f"{cell.interval[1]:.4f}"}
    if verdict.difference is not None:
        cells["difference"] = f"{verdict.difference:.4f}"
    if verdict.tolerance:
        cells["tolerance"] = f"{verdict.tolerance.value:g}"
    return cells


def to_tex(tables: Sequence[Table]) -> str:
    """Return a LaTeX document that compiles as it is; each `table` environment can be copied out (needs booktabs
    and graphicx)."""

    parts = [r"\documentclass{article}", r"\usepackage{booktabs,graphicx}", r"\begin{document}"]

    def environment(title: str, columns: str, head: Sequence[str], body: Sequence[str], notes: Sequence[str]) -> None:
        parts.extend([r"\begin{table}[p]", r"\centering", rf"\caption{{{as_tex(title)}}}"])
        parts.extend([r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"])
        parts.extend([" & ".join(map(as_tex, head)) + r" \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}}"])
        parts.extend([r"\par\medskip\raggedright\footnotesize", *(as_tex(note) + r"\par" for note in notes)])
        parts.append(r"\end{table}")

    for table in tables:
        notes: list[str] = []
        body = []
        for line in table.lines:
            labels = [as_tex(label) for label in _labels(table, line, notes)]
            if line.row:
                labels[0] = rf"\textit{{{labels[0]}}}"
            numbers = []
            for cell in (line.cells.get(column.key) for column in table.declared.columns):
                text = as_tex(_number(cell))
                numbers.append(rf"\textbf{{{text}}}" if cell and cell.best else text)
            body.append(" & ".join([*labels, *numbers, as_tex(differences(line)), line.verdict]) + r" \\")
        left = "lll" if table.declared.epochs else "ll"
        columns = left + "r" * len(table.declared.columns) + "rl"
        environment(table.declared.title, columns, headings(table), body, _footnotes(table, notes))
        if table.others:
            head, rows = _other_cells(table)
            lines = [" & ".join(map(as_tex, row)) + r" \\" for row in rows]
            environment(f"{table.declared.title}. {OTHERS}", "llllllrl", head, lines, [])
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def to_html(tables: Sequence[Table]) -> str:
    """Return the tables as HTML sections (the page around them comes from `results.page`)."""
    parts = []
    for table in tables:
        notes: list[str] = []
        body = []
        for line in table.lines:
            labels = [as_html(label) for label in _labels(table, line, notes)]
            cells = [f"<th scope=row>{labels[0]}</th>", *(f"<td>{label}</td>" for label in labels[1:])]
            for cell in (line.cells.get(column.key) for column in table.declared.columns):
                kinds = ["number"] + ["best"] * bool(cell and cell.best)
                kinds += [cell.figure.status] if cell and cell.figure else []
                cells.append(f'<td class="{" ".join(kinds)}">{_number(cell)}</td>')
            word = line.verdict
            cells.append(
                f"<td class=number>{differences(line)}</td><td class='verdict {word.replace(' ', '-')}'>{word}</td>"
            )
            body.append(f"<tr class={line.origin}>{''.join(cells)}</tr>")
        head = "".join(f"<th scope=col>{as_html(name)}</th>" for name in headings(table))
        parts.append(f"<section><h2>{as_html(table.declared.title)}</h2><div class=scroll tabindex=0><table>")
        parts.append(f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>")
        parts += [f"<p class=footnote>{as_html(note)}</p>" for note in _footnotes(table, notes)]
        if table.others:
            columns, rows = _other_cells(table)
            names = "".join(f"<th scope=col>{as_html(name)}</th>" for name in columns)
            lines = "".join("<tr>" + "".join(f"<td>{as_html(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            parts.append(f"<h3>{as_html(OTHERS)}</h3><div class=scroll tabindex=0><table class=others>")
            parts.append(f"<thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>")
        parts.append("</section>")
    return "\n".join(parts)
