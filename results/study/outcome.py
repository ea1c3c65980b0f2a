"""What the finished cells of a study say: scores with spread and interval, paired differences, and words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

from flsl.runtime.errors import UserError
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
from results.study.cells import Cells, Pretraining, Scoring
from results.study.declaration import Evaluation, Study


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


@dataclass(frozen=True)
class Care:
    """What a method was given: trials, images and hours of one final run, floating-point operations of it if known."""

    method: str
    trials: int
    chosen: str
    selection: dict[str, list[float | None]]  # selection's name -> score of each trial
    failed: list[int]  # trials that did not come to an end, counted from 1
    images: int | None
    hours: float
    hours_of_all: float
    flops: float | None


@dataclass(frozen=True)
class Finding:
    """All of it. `missing` names the cells that are not done."""

    scores: dict[str, dict[str, Score]]  # model -> test -> score
    pairs: list[Pair]
    care: list[Care]
    missing: list[str]
    records: dict[str, Record]  # folder -> record


def find(cells: Cells) -> Finding:
    """Read every finished cell."""
    study = cells.study
    chosen = cells.chosen()
    finals = {name: cells.final(run) if run else [] for name, run in chosen.items()}
    scorings = [*cells.floors(), *(s for runs in finals.values() for run in runs for s in cells.tests(run))]
    read = [(scoring, scoring.record) for scoring in scorings]
    found = [(scoring, record) for scoring, record in read if record]
    _require_apart([s.record for s in cells.selecting()], [record for _, record in found])
    missing = [f"choose a trial of {name}" for name, run in chosen.items() if run is None]
    missing += [run.name for runs in finals.values() for run in runs if not run.done]
    missing += [scoring.name for scoring, record in read if record is None]
    models = (*study.methods, *study.floors)
    records = {(name, test.name): _records(found, name, test) for name in models for test in study.tests}
    scores = {
        name: {test.name: _score(mine, test) for test in study.tests if (mine := records[name, test.name])}
        for name in models
    }
    spreads = {test.name: _spread([records[name, test.name] for name in study.methods], test) for test in study.tests}
    wanted = [
        (method, other, test)
        for method, other in _compared(study)
        for test in study.tests
        if records[method, test.name] and records[other, test.name]
    ]
    resamples = max(RESAMPLES, 100 * len(wanted))  # or no p-value could be small enough after Holm's correction
    pairs = [
        Pair(test.name, other, _compare(records, spreads[test.name], method, other, test, resamples))
        for method, other, test in wanted
    ]
    pairs = correct(pairs)
    care = [_care(cells, name, chosen[name], finals[name]) for name in study.methods]
    return Finding(scores, pairs, care, missing, {s.folder.name: record for s, record in found})


def _compared(study: Study) -> list[tuple[str, str]]:
    """Return who is compared with whom: the baseline with all others, the other methods with the floors."""
    others = [name for name in (*study.methods, *study.floors) if name != study.baseline]
    rest = [name for name in others if name not in study.floors]
    return [*((study.baseline, name) for name in others), *((name, floor) for name in rest for floor in study.floors)]


def _require_apart(selection: Sequence[Record | None], tests: Sequence[Record]) -> None:
    """Raise UserError where settings were chosen on what is reported: the files say so, whatever the study declares."""
    for chosen in filter(None, selection):
        for test in tests:
            same = chosen.dataset.annotation_sha256 == test.dataset.annotation_sha256
            if same and (shared := chosen.per_item.keys() & test.per_item.keys()):
                raise UserError(
                    f"the trials were chosen on {len(shared)} of the {test.dataset.item} that the tests report "
                    f"({', '.join(sorted(shared)[:3])}, ...): {chosen.dataset.name} and {test.dataset.name} hold the same. "
                    "Declare other data for `selection`."
                )


def _records(found: Sequence[tuple[Scoring, Record]], model: str, test: Evaluation) -> list[Record]:
    return [record for scoring, record in found if (scoring.model, scoring.evaluation) == (model, test)]


def _compare(
    records: Mapping[tuple[str, str], Sequence[Record]],
    spread: Spread,
    method: str,
    other: str,
    test: Evaluation,
    resamples: int,
) -> Comparison:
    mine, theirs = records[method, test.name], records[other, test.name]
    compared = compare_groups(mine, theirs, test.metric or None, spread=spread, resamples=resamples)
    return replace(compared, a=method, b=other)


def _spread(methods: Sequence[Sequence[Record]], test: Evaluation) -> Spread:
    """Return how far the trainings of a study's methods scatter: same data, same budget, so one spread for all."""
    scored = [records for records in methods if records]
    if not scored:
        return Spread(0.0, 0)
    return spread_of_trainings(item_scores(scored, test.metric or item_metric(scored[0][0])))


def _score(records: Sequence[Record], test: Evaluation) -> Score:
    metrics = [record.metrics[test.metric or record.headline] for record in records]
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


def _care(cells: Cells, name: str, chosen: Pretraining | None, finals: Sequence[Pretraining]) -> Care:
    trials = [trial for trial in cells.trials() if trial.method == name]
    done = [run for run in finals if run.done]
    facts = done[0].facts() if done else {}
    images = facts["steps"] * facts["batch_size"] if facts else None
    selection = {
        evaluation.name: [
            next(s.score() for s in cells.selecting() if s.made_by == trial and s.evaluation == evaluation)
            for trial in trials
        ]
        for evaluation in cells.study.selection
        if len(trials) > 1
    }
    return Care(
        method=name,
        trials=len(trials),
        chosen=" ".join(cells.study.methods[name].trials[chosen.trial]) if chosen else "not yet",
        selection=selection,
        failed=[trial.trial + 1 for trial in trials if trial.failed],
        images=images,
        hours=mean(run.seconds() for run in done) / 3600 if done else 0.0,
        hours_of_all=sum(run.seconds() for run in {*trials, *finals}) / 3600,
        flops=facts["flops_per_image"] * images if images and "flops_per_image" in facts else None,
    )


def say(finding: Finding, floors: Sequence[str]) -> list[str]:
    """Return the verdict: for each method, what it is better than."""
    if not finding.pairs:
        return ["Nothing can be said yet: no test has been scored for the baseline and another model."]
    answers = []
    for method, of_other in _by_pair(finding).items():
        for kind, names in (
            ("the floors, which learned nothing", [name for name in of_other if name in floors]),
            ("the other methods", [name for name in of_other if name not in floors]),
        ):
            if names:
                every = [pair.word for name in names for pair in of_other[name]]
                answer = "Yes" if {*every} == {"better"} else "No" if "better" not in every else "In part"
                counts = ", ".join(f"{every.count(word)} {word}" for word in ("better", "undecided", "worse"))
                answers.append(
                    f"Is {method} better than {kind} ({', '.join(names)})? {answer}: of {len(every)} comparisons {counts}."
                )
    return answers


def say_pairs(finding: Finding) -> list[str]:
    """Return a sentence for each pair of models, with all its tests."""
    sentences = []
    for method, of_other in _by_pair(finding).items():
        for other, pairs in of_other.items():
            told = [
                f"{words} on {', '.join(_told(pair) for pair in pairs if pair.word == word)}"
                for word, words in (("better", "better"), ("worse", "worse"), ("undecided", "not shown to differ"))
                if any(pair.word == word for pair in pairs)
            ]
            sentences.append(f"{method} against {other}: {'; '.join(told)}.")
    return sentences


def _by_pair(finding: Finding) -> dict[str, dict[str, list[Pair]]]:
    """Sort the comparisons: method -> the other -> one per test."""
    found: dict[str, dict[str, list[Pair]]] = {}
    for pair in finding.pairs:
        found.setdefault(pair.comparison.a, {}).setdefault(pair.other, []).append(pair)
    return found


def _told(pair: Pair) -> str:
    c = pair.comparison
    return f"{pair.test} ({c.difference:+.2f} {c.interval}, p = {c.p_holm:.3f})"
