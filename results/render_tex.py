"""Tables as LaTeX: booktabs, numbers aligned by siunitx, works cited by the keys of results/published/references.bib."""

from collections.abc import Sequence

from results.declaration import Column
from results.escape import as_tex
from results.render import OTHERS, column_groups, differences, footnotes, labels_of, other_cells
from results.tables import Cell, Line, Table

MARK = "({})"  # of a note: square brackets are of works
LONG = 10  # characters of a heading on one line
BIBLIOGRAPHY = "references"  # name of the file of works, without its suffix
PREAMBLE = (
    r"\documentclass{article}",
    r"\usepackage[margin=2cm]{geometry}",
    r"\usepackage{booktabs,siunitx,etoolbox}",
    r"\robustify\bfseries  % bold numbers in columns of siunitx",
    r"\sisetup{reset-text-series=false, text-series-to-math=true, mode=text, table-align-text-after=false}",
    r"\begin{document}",
)


def to_tex(tables: Sequence[Table]) -> str:
    """Return a LaTeX document that compiles as it is; each `table` environment can be copied out, with the preamble's
    packages. The intervals of our rows stand below a table, so that its columns hold numbers alone."""
    parts = [*PREAMBLE]
    for table in tables:
        parts += _environment(table)
        if table.others:
            head, rows = other_cells(table)
            lines = [" & ".join(map(as_tex, row)) + r" \\" for row in rows]
            title = f"{table.declared.title}. {OTHERS}"
            parts += _frame(title, "llllllrl", [" & ".join(map(as_tex, head)) + r" \\"], lines, [])
    parts += [r"\bibliographystyle{plain}", rf"\bibliography{{{BIBLIOGRAPHY}}}"]
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def _environment(table: Table) -> list[str]:
    notes: list[str] = []
    body = []
    for line in table.lines:
        labels = [as_tex(label) for label in labels_of(table, line, notes, MARK)]
        if line.row:
            labels[0] = rf"\textit{{{labels[0]}}}"
        if line.cite:
            labels[0] += rf"~\cite{{{line.cite}}}"
        numbers = [_number(line.cells.get(column.key)) for column in table.columns]
        ours = [as_tex(differences(line)), line.verdict] if table.measured else []
        body.append(" & ".join([*labels, *numbers, *ours]) + r" \\")
    left = ["Method", "Backbone", *["Epochs"] * table.declared.epochs]
    right = ["Difference", "Verdict"] if table.measured else []
    columns = "l" * len(left) + "".join(_column(table, column) for column in table.columns) + "rl"[: len(right)]
    notes = footnotes(table, notes, MARK)
    notes += [f"{line.row.label}: {_intervals(table, line)}." for line in table.lines if line.row]
    return _frame(table.declared.title, columns, _head(table, left, right), body, notes)


def _frame(title: str, columns: str, head: Sequence[str], body: Sequence[str], notes: Sequence[str]) -> list[str]:
    return [
        *(r"\begin{table}[p]", r"\centering\small\setlength{\tabcolsep}{3pt}", rf"\caption{{{as_tex(title)}}}"),
        *(rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"),
        *(r"\par\medskip\raggedright\footnotesize", *(as_tex(note) + r"\par" for note in notes), r"\end{table}"),
    ]


def _head(table: Table, left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Return the rows of headings; a group stands above its columns, with a rule below it."""
    broken = r"\multicolumn{1}{>{\raggedright\arraybackslash}p{1.7cm}}"
    names = [
        f"{broken if len(column.short) > LONG else ''}{{{as_tex(column.short)}}}"  # in braces: no number
        for column in table.columns
    ]
    rows, first = [], len(left) + 1
    groups = column_groups(table)
    if any(name for name, _ in groups):
        spans = [rf"\multicolumn{{{len(members)}}}{{c}}{{{as_tex(name)}}}" for name, members in groups]
        rows.append(" & ".join([*[""] * len(left), *spans, *[""] * len(right)]) + r" \\")
        for name, members in groups:
            rows += [rf"\cmidrule(lr){{{first}-{first + len(members) - 1}}}"] if name else []
            first += len(members)
    return [*rows, " & ".join([*left, *names, *right]) + r" \\"]


def _column(table: Table, column: Column) -> str:
    """Return the column's type: as many digits as its numbers have, and room for a mark where one has it."""
    cells = [line.cells[column.key] for line in table.lines if column.key in line.cells]
    parts = [cell.text.partition(".") for cell in cells]
    before, after = (max((len(part[place]) for part in parts), default=1) for place in (0, 2))
    mark = ", table-space-text-post={$^{\\dagger}$}" if any(cell.mark for cell in cells) else ""
    return f"S[table-format={before}.{after}{mark}]"


def _number(cell: Cell | None) -> str:
    if cell is None:
        return ""
    mark = f"{{{as_tex(cell.mark)}}}" if cell.mark else ""
    return (r"\bfseries " if cell.best else "") + cell.text + mark


def _intervals(table: Table, line: Line) -> str:
    """Return our numbers of a line with what tells how sure they are."""
    told = []
    for column in table.columns:
        cell = line.cells.get(column.key)
        if cell and (cell.interval or cell.spread is not None):
            spread = "" if cell.spread is None else f" ± {cell.spread:.1f}"
            interval = f" [{cell.interval[0]:.1f}, {cell.interval[1]:.1f}]" if cell.interval else ""
            told.append(f"{column.heading} {cell.text}{spread}{interval}")
    return ", ".join(told) or "no interval"
