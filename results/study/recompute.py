"""Whether the scores, comparisons and verdict of a study's report follow from the records that it holds.

python -m results study STUDY.json
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError
from flsl.runtime.files import read_file
from flsl.runtime.run_folder import as_json
from flsl.runtime.schema import parse
from results.benchmarks import find_benchmark
from results.compare import Comparison
from results.store import check_record
from results.study.declaration import Study
from results.study.outcome import say
from results.study.scores import Pair, as_plain, compare_all, places_for

LARGEST = 1 << 28  # bytes of a report


@dataclass(frozen=True)
class Recomputed:
    """What was computed again: numbers of records, scores and comparisons, and a line for each that the report says otherwise.

    `lacking` names, for each test whose comparisons cannot be, the records without scores of single items; of those
    comparisons only the correction and the words follow.
    """

    records: int
    scores: int
    pairs: int
    differences: list[str]
    lacking: dict[str, list[str]]


def recompute(path: Path) -> Recomputed:
    """Compute the tables of `study.json` again from its records, which are held to what every record must satisfy.

    Raises:
        UserError: the file is no report of a study, or holds a record or a comparison that is not valid.
    """
    try:
        report = json.loads(read_file(path, LARGEST))
        study = parse(Study, report["study"], f"{path}: study")
        of = places_for(study)
        found = {name: (str(cell["model"]), str(cell["test"])) for name, cell in report["cells"].items()}
        plain = {name: json.dumps(report["records"][name]).encode() for name in found}
        said = {"scores": report["scores"], "pairs": [*report["pairs"]]}
        pairs_of = [(str(pair["test"]), str(pair["other"]), pair["comparison"]) for pair in said["pairs"]]
        verdict = [str(sentence) for sentence in report["verdict"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is no report whose tables can be computed again ({type(error).__name__}: {error}). Expected the study.json that "
            "`python -m results study` writes, with the cells and their records in it."
        ) from None
    lacking: dict[str, list[str]] = {}
    for name, cell in found.items():
        if cell not in of:
            raise UserError(f"{path}: cell {name} is of {cell[0]} on {cell[1]}, which the study does not have.")
        record = check_record(plain[name], f"{name} of {path}")
        benchmark = next(find_benchmark(test.benchmark).key for test in study.tests if test.name == cell[1])
        if (record.model.name, record.benchmark) != (cell[0], benchmark):
            raise UserError(
                f"{path}: cell {name} is of {cell[0]} on {cell[1]}, but its record of {record.model.name} on {record.benchmark}."
            )
        of[cell].append(record)
        if not record.per_item:
            lacking.setdefault(cell[1], []).append(name)
    told = [
        Pair(test, other, parse(Comparison, comparison, f"a comparison of {path}"))
        for test, other, comparison in pairs_of
        if test in lacking
    ]
    scores, pairs = compare_all(study, of, told)
    now = as_plain(scores, pairs)
    words = say(pairs, [*study.floors])  # the report begins with what is missing
    said["verdict"], now["verdict"] = verdict[-len(words) :], words
    again = len(pairs) - sum(pair.test in lacking for pair in pairs)
    return Recomputed(
        len(plain), sum(map(len, scores.values())), again, list(_differences(said, as_json(now))), lacking
    )


def _differences(said: Any, now: Any, where: str = "") -> Iterator[str]:
    """Yield a line for each value that differs, numbers by more than rounding."""
    if isinstance(said, dict) and isinstance(now, dict) and said.keys() == now.keys():
        for key in said:
            yield from _differences(said[key], now[key], f"{where}.{key}" if where else key)
    elif isinstance(said, list) and isinstance(now, list) and len(said) == len(now):
        for number, (one, other) in enumerate(zip(said, now)):
            yield from _differences(one, other, f"{where}[{number}]")
    elif isinstance(said, (int, float)) and isinstance(now, (int, float)):
        if not math.isclose(said, now, rel_tol=1e-9, abs_tol=1e-9):
            yield f"{where}: the report says {said:g}, the records {now:g}"
    elif said != now:
        yield f"{where}: the report says {str(said)[:200]}, the records {str(now)[:200]}"
