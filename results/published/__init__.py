"""Published figures, methods and tolerances: data files beside this module, checked each time they are read.

python -m results published
"""

import csv
import io
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.files import read_file
from flsl.runtime.text import number_of
from results.paper import TABLES
from results.validate import metric_problems

LARGEST = 4 << 20  # bytes of one of these files
FOLDER = Path(__file__).parent
STATUSES = ("verified", "quoted")
GROUPS = ("self-supervised", "supervised")
COLUMNS = ("table", "protocol", "method", "backbone", "epochs", "metric", "value", "status", "source", "note")
ROUNDING = 0.05  # percent: figures are printed with one decimal
EXCUSE = "do not average to J&F"  # in a note: the source itself prints a J&F that is not the mean


@dataclass(frozen=True)
class Figure:
    """One published number, in percent. `epochs` of pretraining is None where the source does not say."""

    table: str
    protocol: str
    method: str
    backbone: str
    epochs: int | None
    metric: str
    value: float
    status: str
    source: str
    note: str

    @property
    def row(self) -> tuple[str, str, str, int | None]:
        """What the figures of one row of a table share."""
        return self.table, self.method, self.backbone, self.epochs


@dataclass(frozen=True)
class Method:
    """A method as tables print it, and the group within which its figures can be the best of a column."""

    name: str
    group: str
    cite: str = ""  # key in references.bib


@dataclass(frozen=True)
class Tolerance:
    """How far from the published value (percent, either way) still counts as reproduced, and why."""

    value: float
    reason: str


class Published(NamedTuple):
    """What measured rows are held against."""

    figures: list[Figure]
    tolerances: dict[tuple[str, str], Tolerance]  # (protocol, metric) -> tolerance
    methods: dict[str, Method]  # name in lower case, aliases included -> method


def read_published() -> Published:
    """Read and check all three files. Raises UserError: see `read_figures`, `read_tolerances` and `read_methods`."""
    return Published(read_figures(), read_tolerances(), read_methods())


def read_figures(path: Path = FOLDER / "published.csv") -> list[Figure]:
    """Read and check the published figures, in file order.

    Raises UserError listing every problem with its line number.
    """
    known = read_methods()
    figures: list[Figure] = []
    wrong: list[str] = []
    seen: dict[tuple, int] = {}  # what a figure is of -> its line
    for line, cells in _read_csv(path, COLUMNS):
        found = _cell_problems(cells, {method.name for method in known.values()})
        if not found:
            values: dict[str, Any] = {"value": float(cells["value"]), "epochs": int(cells["epochs"] or 0) or None}
            figure = Figure(**cells | values)
            key = (*figure.row, figure.protocol, figure.metric)
            if key in seen:
                found = [f"{figure.method} {figure.backbone} {figure.metric} is there already, in line {seen[key]}"]
            seen.setdefault(key, line)
            figures.append(figure)
        wrong += [f"line {line}: {problem}" for problem in found]
    wrong += _contradictions(figures)
    if wrong:
        raise UserError(f"{path} is not right: {'; '.join(wrong)}.")
    return figures


def read_methods(path: Path = FOLDER / "methods.csv") -> dict[str, Method]:
    """Return every name of a method in lower case, aliases included -> the method.

    Raises UserError naming the line of an unknown group, or of a name that two methods have.
    """
    methods: dict[str, Method] = {}
    keys = _citations()
    for line, cells in _read_csv(path, ("method", "group", "aliases", "reference")):
        if cells["group"] not in GROUPS:
            raise UserError(f"{path} line {line}: {unknown_key(repr(cells['group']), cells['group'], GROUPS, 'group')}")
        method = Method(cells["method"], cells["group"], keys.get(cells["method"], ""))
        for name in (method.name, *cells["aliases"].split()):
            if methods.setdefault(name.lower(), method) != method:
                raise UserError(
                    f"{path} line {line}: the name {name!r} belongs to {methods[name.lower()].name} already."
                )
    return methods


def _citations() -> dict[str, str]:
    """Return a method's name -> the key of its work."""
    works = read_file(FOLDER / "references.bib", LARGEST).decode()
    entries = re.findall(r"^@\w+\{(\w+),.*?^  methods = \{(.*?)\},$", works, re.M | re.S)
    return {method: key for key, methods in entries for method in methods.split("; ")}


def read_tolerances(path: Path = FOLDER / "tolerances.csv") -> dict[tuple[str, str], Tolerance]:
    """Return (protocol, metric) -> tolerance. Raises UserError naming the line of a wrong value."""
    tolerances = {}
    for line, cells in _read_csv(path, ("protocol", "metric", "tolerance", "reason")):
        key = (cells["protocol"], cells["metric"])
        if not _is_number(cells["tolerance"]) or float(cells["tolerance"]) <= 0:
            raise UserError(f"{path} line {line}: tolerance {cells['tolerance']!r} must be a number above 0.")
        if key in tolerances:
            raise UserError(f"{path} line {line}: {key[0]} {key[1]} has a tolerance already.")
        tolerances[key] = Tolerance(float(cells["tolerance"]), cells["reason"])
    return tolerances


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return (line number, cells by column) of a CSV file that must have exactly these columns."""
    try:
        reader = csv.reader(io.StringIO(read_file(path, LARGEST).decode(), newline=""))
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file in UTF-8 ({error}). Export it again.") from None
    if tuple(header) != columns:
        raise UserError(f"{path} must have the columns {','.join(columns)}, but has {','.join(header)[:100]}.")
    for line, row in rows:
        if len(row) != len(columns):
            raise UserError(f"{path} line {line} has {len(row)} cells, but the header has {len(columns)}.")
    return [(line, dict(zip(columns, (cell.strip() for cell in row)))) for line, row in rows]


def _cell_problems(cells: dict[str, str], methods: set[str]) -> list[str]:
    found = []
    if cells["table"] not in TABLES:
        found.append(_unknown("table", cells, TABLES))
    else:
        columns = [column.key for column in TABLES[cells["table"]].columns]
        names = {name for protocol, name in columns if protocol == cells["protocol"]}
        if not names:
            found.append(_unknown("protocol", cells, {protocol for protocol, _ in columns}))
        elif cells["metric"] not in names:
            found.append(_unknown("metric", cells, names))
    if cells["method"] not in methods:
        found.append(_unknown("method", cells, methods))
    if cells["epochs"] and number_of(cells["epochs"]) is None:
        found.append(f"epochs {cells['epochs']!r} must be a whole number or empty")
    if not _is_number(cells["value"]):
        found.append(f"value {cells['value']!r} must be a number in percent")
    elif impossible := metric_problems({cells["metric"]: float(cells["value"])}):
        found += impossible
    if cells["status"] not in STATUSES:
        found.append(_unknown("status", cells, STATUSES))
    if not cells["source"]:
        found.append("source is empty; say where the figure was read")
    return found


def _unknown(what: str, cells: dict[str, str], known: Iterable[str]) -> str:
    return unknown_key(f"{what} {cells[what]!r}", cells[what], known, what).rstrip(".")


def _contradictions(figures: list[Figure]) -> list[str]:
    rows: dict[tuple, list[Figure]] = defaultdict(list)
    for figure in figures:
        rows[figure.protocol, figure.row].append(figure)
    found = []
    for members in rows.values():
        values = {figure.metric: figure.value for figure in members}
        for problem in metric_problems(values, ROUNDING):
            if not (problem.startswith("J&F") and all(EXCUSE in figure.note for figure in members)):
                found.append(f"{members[0].method} {members[0].backbone}: {problem}")
    return found


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
