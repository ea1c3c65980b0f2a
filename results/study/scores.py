"""What records of a study's models say: scores with spread and interval, and paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean, stdev
from typing import Any

from results.compare import (
    LEVEL,
    RESAMPLES,
    Comparison,
    Spread,
    compare_groups,
    holm,
    item_metric,
    item_scores,
    spread_of_trainings,
)
from results.record import Record
from results.study.declaration import Evaluation, Study

Records = Mapping[tuple[str, str], Sequence[Record]]  # (model, test's name) -> one a seed
Scores = dict[str, dict[str, "Score"]]  # model -> test's name -> score


@dataclass(frozen=True)
class Score:
    """One cell of the table, in percent: the mean over `seeds`, their standard deviation, and the 95 % interval over
    items (mean of the seeds' bounds)."""

    value: float
    spread: float | None
    interval: tuple[float, float] | None
    seeds: int
    items: int
    item: str
    of: int  # items that the data hold

    @property
    def part(self) -> str:
        """Which part of the data it is about, where not all: "10 of 16 sequences"."""
        return f"{self.items} of {self.of} {self.item}" if self.items < self.of else ""


@dataclass(frozen=True)
class Pair:
    """A method minus another model on one test; `comparison` has the p-value corrected for all pairs."""

    test: str
    other: str
    comparison: Comparison

    @property
    def word(self) -> str:
        """The verdict: better, worse or undecided."""
        if self.comparison.p_holm >= LEVEL:
            return "undecided"
        return "better" if self.comparison.difference > 0 else "worse"


def correct(pairs: Sequence[Pair]) -> list[Pair]:
    """Return pairs with p-values that are corrected for all of them by Holm's method."""
    corrected = holm([pair.comparison for pair in pairs])
    return [replace(pair, comparison=comparison) for pair, comparison in zip(pairs, corrected)]


def places_for(study: Study) -> dict[tuple[str, str], list[Record]]:
    """Return an empty list for each model and test of a study."""
    return {(model, test.name): [] for model in (*study.methods, *study.floors) for test in study.tests}


def as_plain(scores: Scores, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return what `compare_all` found as a report holds it."""
    return {
        "scores": {model: {test: asdict(score) for test, score in tests.items()} for model, tests in scores.items()},
        "pairs": [_plain(pair) for pair in pairs],
    }


def _plain(pair: Pair) -> dict[str, Any]:
    plain = asdict(pair) | {"word": pair.word}
    if not pair.comparison.pretrained:  # as in reports of before it was told
        del plain["comparison"]["pretrained"]
    return plain


def compare_all(study: Study, records: Records, told: Sequence[Pair] = ()) -> tuple[Scores, list[Pair]]:
    """Score every model on every test that has records, and compare the pairs of which both have; p-values are corrected for all.

    Args:
        study: what is compared.
        records: of each model on each test.
        told: comparisons to take as they are, of tests whose records hold no scores of single items.
    """
    scores: Scores = {
        name: {test.name: _score(mine, test) for test in study.tests if (mine := records[name, test.name])}
        for name in (*study.methods, *study.floors)
    }
    known = {(pair.comparison.a, pair.other, pair.test): pair.comparison for pair in told}
    spreads = {
        test.name: _spread([records[name, test.name] for name in study.methods], test)
        for test in study.tests
        if test.name not in {pair.test for pair in told}
    }
    wanted = [
        (method, other, test)
        for method, other in _compared(study)
        for test in study.tests
        if records[method, test.name] and records[other, test.name]
    ]
    resamples = max(RESAMPLES, 100 * len(wanted))  # or no p-value could be small enough after Holm's correction
    pairs = [
        Pair(
            test.name,
            other,
            known.get((method, other, test.name))
            or _compare(study, records, spreads.get(test.name), method, other, test, resamples),
        )
        for method, other, test in wanted
    ]
    return scores, correct(pairs)


def _compared(study: Study) -> list[tuple[str, str]]:
    """Return who is compared with whom: the baseline with all others, the other methods with the floors."""
    others = [name for name in (*study.methods, *study.floors) if name != study.baseline]
    rest = [name for name in others if name not in study.floors]
    return [*((study.baseline, name) for name in others), *((name, floor) for name in rest for floor in study.floors)]


def _compare(
    study: Study,
    records: Records,
    spread: Spread | None,
    method: str,
    other: str,
    test: Evaluation,
    resamples: int,
) -> Comparison:
    mine, theirs = records[method, test.name], records[other, test.name]
    # Where the other trainings of a method, or draws of a floor, are missing, the one that is there is still one of several.
    trained = [study.floors.get(name, "random:").startswith("random:") for name in (method, other)]
    compared = compare_groups(mine, theirs, test.metric or None, spread=spread, trained=trained, resamples=resamples)
    return replace(compared, a=method, b=other)


def _spread(methods: Sequence[Sequence[Record]], test: Evaluation) -> Spread:
    """Return how far the trainings of a study's methods scatter: same data, same budget, so one spread for all."""
    scored = [records for records in methods if records]
    if not scored:
        return Spread(0.0, 0)
    return spread_of_trainings(item_scores(scored, test.metric or item_metric(scored[0][0])))


def _score(records: Sequence[Record], test: Evaluation) -> Score:
    metrics = [test.measured(record) for record in records]
    values = [metric.value for metric in metrics if metric.value is not None]
    bounds = [metric.bounds for metric in metrics if metric.bounds is not None]
    return Score(
        value=mean(values),
        spread=stdev(values) if len(values) > 1 else None,
        interval=(mean(low for low, _ in bounds), mean(high for _, high in bounds)) if bounds else None,
        seeds=len(records),
        items=records[0].dataset.items_evaluated,
        item=records[0].dataset.item,
        of=records[0].dataset.items_expected,
    )
