"""Published figures, methods and tolerances: data files beside this module, checked each time they are read.

python -m results published
"""

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from results.errors import ResultsError
from results.paper import TABLES
from results.schema import unknown_key
from results.validate import PROTOCOL, metric_problems

FOLDER = Path(__file__).parent
STATUSES = ("verified", "quoted", "unverified")
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
class Tolerance:
    """How far from the published value (percent, either way) still counts as reproduced, and why."""

    value: float
    reason: str


def read_figures(path: Path = FOLDER / "published.csv", methods: Path = FOLDER / "methods.csv") -> list[Figure]:
    """Read and check the published figures, in file order.

    Raises ResultsError listing every problem with its line number.
    """
    known = read_methods(methods)
    figures, wrong, seen = [], [], {}
    for line, cells in _read_csv(path, COLUMNS):
        found = _cell_problems(cells, set(known.values()))
        if not found:
            figure = Figure(
                **{
                    **cells,
                    "value": float(cells["value"]),
                    "epochs": int(cells["epochs"]) if cells["epochs"] else None,
                }
            )
            key = (*figure.row, figure.protocol, figure.metric)
            if key in seen:
                found = [f"{figure.method} {figure.backbone} {figure.metric} is there already, in line {seen[key]}"]
            seen.setdefault(key, line)
            figures.append(figure)
        wrong += [f"line {line}: {problem}" for problem in found]
    wrong += _contradictions(figures)
    if wrong:
        raise ResultsError(f"{path} is not right: {'; '.join(wrong)}.")
    return figures


def read_methods(path: Path = FOLDER / "methods.csv") -> dict[str, str]:
    """Return every name of a method in lower case, aliases included -> the name that tables print."""
    names: dict[str, str] = {}
    for line, cells in _read_csv(path, ("method", "aliases", "reference")):
        for name in (cells["method"], *cells["aliases"].split()):
            if names.setdefault(name.lower(), cells["method"]) != cells["method"]:
                raise ResultsError(f"{path} line {line}: the name {name!r} belongs to {names[name.lower()]} already.")
    return names


def read_tolerances(path: Path = FOLDER / "tolerances.csv") -> dict[tuple[str, str], Tolerance]:
    """Return (protocol, metric) -> tolerance. Raises ResultsError naming the line of a wrong value."""
    tolerances = {}
    for line, cells in _read_csv(path, ("protocol", "metric", "tolerance", "reason")):
        key = (cells["protocol"], cells["metric"])
        if not _is_number(cells["tolerance"]) or float(cells["tolerance"]) <= 0:
            raise ResultsError(f"{path} line {line}: tolerance {cells['tolerance']!r} must be a number above 0.")
        if key in tolerances:
            raise ResultsError(f"{path} line {line}: {key[0]} {key[1]} has a tolerance already.")
        tolerances[key] = Tolerance(float(cells["tolerance"]), cells["reason"])
    return tolerances


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return (line number, cells by column) of a CSV file that must have exactly these columns."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if tuple(header) != columns:
                raise ResultsError(f"{path} must have the columns {','.join(columns)}, but has {','.join(header)}.")
            rows = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror}.") from None
    for line, row in rows:
        if len(row) != len(columns):
            raise ResultsError(f"{path} line {line} has {len(row)} cells, but the header has {len(columns)}.")
    return [(line, dict(zip(columns, (cell.strip() for cell in row)))) for line, row in rows]


def _cell_problems(cells: dict[str, str], methods: set[str]) -> list[str]:
    found = []
    table = TABLES.get(cells["table"])
    if table is None:
        found.append(f"unknown table {cells['table']!r}; {unknown_key(cells['table'], TABLES)}")
    elif cells["metric"] not in table.columns:
        found.append(f"unknown metric {cells['metric']!r}; {unknown_key(cells['metric'], table.columns)}")
    if not PROTOCOL.fullmatch(cells["protocol"]):
        found.append(f"protocol {cells['protocol']!r} must be NAME/VARIANT@VERSION")
    if cells["method"] not in methods:
        found.append(f"unknown method {cells['method']!r}; {unknown_key(cells['method'], sorted(methods))}")
    if cells["epochs"] and not cells["epochs"].isdecimal():
        found.append(f"epochs {cells['epochs']!r} must be a whole number or empty")
    if not _is_number(cells["value"]):
        found.append(f"value {cells['value']!r} must be a number in percent")
    elif impossible := metric_problems({cells["metric"]: float(cells["value"])}):
        found += impossible
    if cells["status"] not in STATUSES:
        found.append(f"unknown status {cells['status']!r}; {unknown_key(cells['status'], STATUSES)}")
    if not cells["source"]:
        found.append("source is empty; say where the figure was read")
    return found


def _contradictions(figures: list[Figure]) -> list[str]:
    rows: dict[tuple, list[Figure]] = defaultdict(list)
    for figure in figures:
        rows[(figure.protocol, *figure.row)].append(figure)
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
