"""What a check found: counts beside the official ones, problems with remedies, notes, and the verdict."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.data.synthesize.folder import count_files
from flsl.runtime.errors import UserError
from flsl.runtime.files import inside
from flsl.runtime.marker import read_marker


@dataclass
class Report:
    """The findings on one copy. `complete` says that it is the whole official benchmark, which `conclude` is told."""

    benchmark: str
    root: Path
    marker: dict[str, Any] | None = None
    counts: list[tuple[str, int, int | None]] = field(default_factory=list)  # what, found, official
    problems: dict[str, list[str]] = field(default_factory=dict)  # remedy -> what is wrong where
    notes: list[str] = field(default_factory=list)
    complete: bool = False

    def count(self, what: str, found: int, official: int | None = None) -> None:
        """Add a line to the table; `official` is the real benchmark's number."""
        self.counts.append((what, found, official))

    def problem(self, where: str | Path, what: str, remedy: str) -> None:
        """Add a problem; those with the same remedy are printed together. What a reader says may begin with the file already."""
        rest = what.removeprefix(str(where)) if what.startswith(str(where)) else f": {what}"
        if isinstance(where, Path) and where.is_relative_to(self.root):
            where = where.relative_to(self.root)
        self.problems.setdefault(remedy, []).append(f"{where}{rest}")

    def has_file(self, path: Path, get: str, *, evaluated: bool) -> bool:
        """Tell whether a split's list or annotation file is there. A copy may do without: a note says so of an `evaluated` one.
        What is there and is no file is a problem."""
        if path.is_file():
            return True
        if os.path.lexists(path):
            self.problem(path, "it is no file, or a link to none", get)
        elif evaluated:
            where = path.relative_to(self.root)
            self.notes.append(f"{where}, which `python -m eval {self.benchmark}` needs, is missing. {get}")
        return False

    def conclude(self, whole: bool, otherwise: str = "") -> None:
        """Say of real data whether they are the `whole` official benchmark, and if not, `otherwise`."""
        self.complete = whole and self.marker is None
        if otherwise and not whole and self.marker is None:
            self.notes.append(otherwise)

    def counts_are_official(self) -> bool:
        """Tell whether every count with an official number equals it."""
        return all(found == official for _, found, official in self.counts if official is not None)


def open_report(root: Path, benchmark: str, expected: dict[str, str]) -> Report:
    """Start the report on a folder.

    Args:
        root: the benchmark's folder.
        benchmark: a key of `eval.data.synthesize.sizes.SIZES`.
        expected: the folders that a copy has (relative path -> how to get it). What is missing becomes a problem.

    Raises:
        UserError: there is no such folder, it is empty, holds another benchmark's synthetic data or an interrupted
            synthesis, or nothing in it looks like the benchmark.
    """
    if not root.is_dir():
        kind = "is a file" if root.exists() else "does not exist"
        raise UserError(f"{root} {kind}. Give the folder that holds {', '.join(expected)}.")
    if not any(root.iterdir()):
        raise UserError(
            f"{root} is empty; expected in it: {', '.join(expected)}. {next(iter(expected.values()))} "
            f"For a try-out, `python -m eval data synthesize {benchmark} DIR` draws data into a new folder."
        )
    marker = own_marker(root, benchmark)
    missing = [path for path in expected if not (root / path).is_dir()]
    if len(missing) == len(expected):
        # The usual slip is one level too high or too low.
        places = [root.parent, root.parent.parent, *(path for path in root.iterdir() if path.is_dir())]
        near = [place for place in places if all((place / path).is_dir() for path in expected)]
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UserError(f"{root} holds none of {', '.join(expected)}; found there: {inside(root)}.{hint}")
    report = start_report(root, benchmark, marker)
    for path in missing:
        report.problem(path, "the folder is missing", expected[path])
    return report


def own_marker(root: Path, *benchmarks: str) -> dict[str, Any] | None:
    """Return the marker of drawn data, None of real ones. Raises UserError where they are another benchmark's."""
    marker = read_marker(root)
    if marker and marker.get("benchmark", benchmarks[0]) not in benchmarks:
        raise UserError(f"{root} holds {marker['name']} data: check it with `verify {marker['benchmark']}`.")
    return marker


def start_report(root: Path, benchmark: str, marker: dict[str, Any] | None) -> Report:
    """Return the report on a folder, which says already whether drawn data lost files."""
    report = Report(benchmark, root, marker)
    if marker and count_files(root) != marker.get("files"):
        report.problem(
            ".",
            f"{count_files(root)} files where the synthesis left {marker.get('files')}",
            f"Delete the folder and run `python -m eval data synthesize {marker.get('benchmark', benchmark)}` again.",
        )
    return report


def print_report(report: Report, limit: int = 20) -> int:
    """Print the table, up to `limit` problems of each kind, the notes and the verdict; returns the exit code, 0 or 2."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True, markup=False)
    official = report.marker is None
    table = Table(title=f"{report.benchmark}: {report.root}", title_justify="left")
    table.add_column("what")
    table.add_column("found", justify="right")
    if official:
        table.add_column("official", justify="right")
    for what, count, wanted in report.counts:
        table.add_row(what, f"{count:,}", *([f"{wanted:,}" if wanted is not None else ""] if official else []))
    console.print(table)
    total = sum(len(found) for found in report.problems.values())
    for remedy, found in report.problems.items():
        for line in found[:limit]:
            console.print(f"problem: {line}")
        if len(found) > limit:
            console.print(f"         ... and {len(found) - limit:,} more like this (--limit {len(found)} shows all)")
        console.print(f"     --> {remedy}")
    for note in report.notes:
        console.print(f"note: {note}")
    if total:
        console.print(f"broken: {total:,} problem{'s' * (total > 1)}")
        return 2
    if report.marker:
        seed = report.marker.get("seed")
        console.print(f"fine: complete synthetic data ({report.marker['name']}, seed {seed})")
    elif report.complete:
        console.print("fine: the complete official copy")
    else:
        console.print("fine: sound, but a subset: results on it are not comparable with published ones")
    return 0
