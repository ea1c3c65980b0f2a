"""A study's report: the verdict in words, then the table, the pairs, the care that each method got, curves and pictures."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from results.compare import LEVEL
from results.escape import as_html, as_markdown, markdown_table
from results.page import figure_of, list_of, make_page, table_of
from results.record import FEWEST_UNITS
from results.schema import record_to_plain
from results.study.declaration import Study
from results.study.outcome import Care, Finding, say
from results.study.scores import Score, as_plain

Rows = tuple[tuple[str, ...], list[list[str]]]  # headings, cells


def report_data(study: Study, finding: Finding, command: str) -> dict[str, Any]:
    """Return all that the report says, as plain values."""
    return {
        "title": study.title,
        "verdict": verdict(study, finding),
        "study": dataclasses.asdict(study),
        **as_plain(finding.scores, finding.pairs),
        "care": [dataclasses.asdict(care) for care in finding.care],
        "missing": finding.missing,
        "command": command,
        "cells": {name: {"model": found.model, "test": found.test} for name, found in finding.records.items()},
        "records": {name: record_to_plain(found.record) for name, found in finding.records.items()},
    }


def verdict(study: Study, finding: Finding) -> list[str]:
    """Return the sentences that the report begins with."""
    missing = len(finding.missing)
    unfinished = [f"The study is not finished: {missing} of its cells are missing (listed below)."] if missing else []
    unequal = {care.images for care in finding.care if care.images}
    if len(unequal) > 1:
        unfinished.append("The methods have not seen the same number of images: see the table of care.")
    unfinished += [
        f"Trial {', '.join(map(str, care.failed))} of {care.method} failed, so that it was no choice."
        for care in finding.care
        if care.failed
    ]
    return unfinished + say(finding.pairs, [*study.floors])


def score_rows(study: Study, finding: Finding) -> Rows:
    """Return the table of models and tests."""
    tests = [test.name for test in study.tests]
    rows = []
    for name, scores in finding.scores.items():
        label = f"{name} (floor: nothing learned)" if name in study.floors else name
        rows.append([label, *(_score(scores.get(test)) for test in tests)])
    parts = {test: score.part for scores in finding.scores.values() for test, score in scores.items() if score.part}
    return ("model", *(f"{test} ({parts[test]} only)" if test in parts else test for test in tests)), rows


def _score(score: Score | None) -> str:
    if score is None:
        return "–"
    spread = f" ± {score.spread:.2f} ({score.seeds} seeds)" if score.spread is not None else ""
    shown = score.interval if score.items >= FEWEST_UNITS else None
    interval = f" [{shown[0]:.1f}, {shown[1]:.1f}]" if shown else ""
    return f"{score.value:.2f}{spread}{interval}"


def pair_rows(finding: Finding) -> Rows:
    """Return the table of paired comparisons."""
    rows = []
    for pair in finding.pairs:
        c = pair.comparison
        words = "no difference shown" if pair.word == "undecided" else f"{c.a} is {pair.word}"
        interval, p, better = f"{c.low:+.2f} to {c.high:+.2f}", f"{c.p_holm:.4f}", f"{c.better} of {c.items}"
        rows.append([pair.test, f"{c.a} - {c.b}", f"{c.difference:+.2f}", interval, p, better, words, c.notes])
    difference = "mean difference over items"
    return ("test", "pair", difference, "95 % interval", "p (Holm)", "items better", "in words", "note"), rows


def care_rows(finding: Finding) -> Rows:
    """Return the table that shows what each method was given."""
    head = ("method", "trials", "chosen", "images seen", "hours per run", "hours in all", "FLOPs per run")
    return head, [[*_care(care)] for care in finding.care]


def _care(care: Care) -> Iterable[str]:
    yield care.method
    yield str(care.trials)
    yield care.chosen or "the recipe as it is"
    yield f"{care.images:,}" if care.images else "–"
    yield f"{care.hours:.2f}"
    yield f"{care.hours_of_all:.2f}"
    yield f"{care.flops:.2e}" if care.flops else "–"


def selection_rows(finding: Finding) -> Rows:
    """Return the scores by which each method's trial was chosen."""
    rows = [
        [care.method, name, *("–" if score is None else f"{score:.2f}" for score in scores)]
        for care in finding.care
        for name, scores in care.selection.items()
    ]
    trials = max((care.trials for care in finding.care), default=0)
    return ("method", "selection data", *(f"trial {number + 1}" for number in range(trials))), rows


def sections(study: Study, finding: Finding) -> list[tuple[str, str, Rows]]:
    """Return the tables that have rows: heading, what it shows, rows."""
    several = len(study.seeds) > 1
    covers = "over items and trainings" if several else "over items, one training"
    scores = f"Percent; mean over seeds ± standard deviation, 95 % interval over items. Seeds: {len(study.seeds)}."
    pairs = f"Paired bootstrap {covers}; p corrected by Holm for all rows; decided where p < {LEVEL:g}."
    against = f"{study.baseline} against the others, all methods against the floors"
    choice = "By the mean on selection data; none of it is reported above."
    found = (
        ("Scores", scores, score_rows(study, finding)),
        (against, pairs, pair_rows(finding)),
        ("Equal care", "What each method was given.", care_rows(finding)),
        ("Choice of trials", choice, selection_rows(finding)),
    )
    return [section for section in found if section[2][1]]


def to_markdown(study: Study, finding: Finding, command: str, pictures: Sequence[Path]) -> str:
    """Return the report as Markdown; pictures are linked by name."""
    parts = [f"# {as_markdown(study.title)}", "", *(f"- {as_markdown(line)}" for line in verdict(study, finding)), ""]
    for heading, about, (head, rows) in sections(study, finding):
        parts += [f"## {as_markdown(heading)}", "", as_markdown(about), ""]
        parts += [*markdown_table([*map(as_markdown, head)], [[*map(as_markdown, row)] for row in rows]), ""]
    for picture in pictures:
        folder = "pictures/" if picture.parent.name == "pictures" else ""
        parts += [f"![{picture.stem}]({folder}{picture.name})", ""]
    if finding.missing:
        parts += ["## Missing", "", *(f"- {as_markdown(name)}" for name in finding.missing), ""]
    return "\n".join([*parts, f"Made by `{command}`."]) + "\n"


def to_html(study: Study, finding: Finding, command: str, pictures: Sequence[Path]) -> str:
    """Return the report as a page that holds its pictures."""
    parts = [list_of(verdict(study, finding))]
    for heading, about, (head, rows) in sections(study, finding):
        parts.append(f"<section><h2>{as_html(heading)}</h2><p class=quiet>{as_html(about)}</p>")
        parts += [table_of(head, rows), "</section>"]
    for picture in pictures:
        plot = picture.stem == "curves"
        about = "loss, and what probes measured, by images seen" if plot else "components and clusters, a row per model"
        parts.append(figure_of(picture.read_bytes(), f"{picture.stem}: {about}", plot=plot))
    if finding.missing:
        parts.append(f"<h2>Missing</h2>{list_of(finding.missing)}")
    parts.append(f"<p class=quiet>Made by <code>{as_html(command)}</code></p>")
    return make_page(study.title, "\n".join(parts))
