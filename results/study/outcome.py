"""What the finished cells of a study say: scores and differences, the care that each method got, and words."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from results.record import Record
from results.study.apart import require_items_apart
from results.study.cells import Cells, Pretraining
from results.study.scores import Pair, Scores, compare_all, places_for


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
class Found:
    """The record of one cell."""

    model: str
    test: str
    record: Record


@dataclass(frozen=True)
class Finding:
    """All of it. `missing` names the cells that are not done."""

    scores: Scores
    pairs: list[Pair]
    care: list[Care]
    missing: list[str]
    records: dict[str, Found]  # by folder


def find(cells: Cells) -> Finding:
    """Read every finished cell."""
    study = cells.study
    chosen = cells.chosen()
    finals = {name: cells.final(run) if run else [] for name, run in chosen.items()}
    scorings = [*cells.floors(), *(s for runs in finals.values() for run in runs for s in cells.tests(run))]
    read = [(scoring, scoring.record) for scoring in scorings]
    found = [(scoring, record) for scoring, record in read if record]
    require_items_apart([s.record for s in cells.selecting()], [record for _, record in found])
    missing = [f"choose a trial of {name}" for name, run in chosen.items() if run is None]
    missing += [run.name for runs in finals.values() for run in runs if not run.done]
    missing += [scoring.name for scoring, record in read if record is None]
    of = places_for(study)
    for scoring, record in found:
        of[scoring.model, scoring.evaluation.name].append(record)
    scores, pairs = compare_all(study, of)
    care = [_care(cells, name, chosen[name], finals[name]) for name in study.methods]
    by_folder = {
        scoring.folder.name: Found(scoring.model, scoring.evaluation.name, record) for scoring, record in found
    }
    return Finding(scores, pairs, care, missing, by_folder)


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
        hours_of_all=sum(run.seconds() for run in dict.fromkeys([*trials, *finals])) / 3600,
        flops=facts["flops_per_image"] * images if images and "flops_per_image" in facts else None,
    )


def say(pairs: Sequence[Pair], floors: Sequence[str]) -> list[str]:
    """Return the verdict: for each method, what it is better than."""
    if not pairs:
        return ["Nothing can be said yet: no test has been scored for the baseline and another model."]
    answers = []
    for method, of_other in _by_pair(pairs).items():
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
                told = (pair.comparison.pretraining for name in names for pair in of_other[name])
                answers += dict.fromkeys(f"They were {words}." for words in told if words)
    return answers


def say_pairs(finding: Finding) -> list[str]:
    """Return a sentence for each pair of models, with all its tests."""
    sentences = []
    for method, of_other in _by_pair(finding.pairs).items():
        for other, pairs in of_other.items():
            told = [
                f"{words} on {', '.join(_told(pair) for pair in pairs if pair.word == word)}"
                for word, words in (("better", "better"), ("worse", "worse"), ("undecided", "not shown to differ"))
                if any(pair.word == word for pair in pairs)
            ]
            sentences.append(f"{method} against {other}: {'; '.join(told)}.")
    return sentences


def _by_pair(pairs: Sequence[Pair]) -> dict[str, dict[str, list[Pair]]]:
    """Sort the comparisons: method -> the other -> one per test."""
    found: dict[str, dict[str, list[Pair]]] = {}
    for pair in pairs:
        found.setdefault(pair.comparison.a, {}).setdefault(pair.other, []).append(pair)
    return found


def _told(pair: Pair) -> str:
    c = pair.comparison
    return f"{pair.test} ({c.difference:+.2f} {c.interval}, p = {c.p_holm:.3f})"
