"""A quick look's results: one table, a verdict in words for each benchmark, pictures, and what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.quick.trials import Contender, Trial
from results.escape import as_html
from results.page import figure_of, list_of, make_page, table_of
from results.record import Record
from results.study.scores import Pair

ANSWERS = {"better": "yes", "worse": "no", "undecided": "not shown"}  # is yours better?


@dataclass(frozen=True)
class Look:
    """All that was measured: trial's title -> contender's name -> record."""

    trials: Sequence[Trial]
    contenders: Sequence[Contender]
    proof: Sequence[str]  # that the checkpoint was loaded, line by line
    records: Mapping[str, Mapping[str, Record]]
    pairs: Sequence[Pair]  # yours minus another; `test` is a trial's title
    next_steps: Sequence[tuple[str, str]]  # command, what it costs
    learning: Sequence[tuple[Path, str]]  # pictures of its features on the way, where its run's folder has them
    seconds: float


def table(look: Look) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows: an encoder per row, a benchmark per column, in percent."""
    head = ["encoder", *(trial.title for trial in look.trials)]
    rows = []
    for contender in look.contenders:
        cells = [_score(look.records[trial.title][contender.name]) for trial in look.trials]
        rows.append([contender.name, *cells])
    return head, rows


def _score(record: Record) -> str:
    metric = record.metrics[record.headline]
    if metric.value is None:
        return "-"
    if metric.bounds is None:
        return f"{metric.value:.1f}"
    return f"{metric.value:.1f} [{metric.bounds[0]:.1f}, {metric.bounds[1]:.1f}]"


def verdicts(look: Look) -> list[str]:
    """Return a sentence for each benchmark: is yours better than each of the others?"""
    sentences = []
    for trial in look.trials:
        told = []
        for pair in look.pairs:
            if pair.test == trial.title:
                c = pair.comparison
                told.append(
                    f"than {pair.other}: {ANSWERS[pair.word]}, {c.difference:+.1f} {c.interval}, p = {c.p_holm:.3f}"
                )
        if told:
            sentences.append(f"{trial.title}, better {'; '.join(told)}")
    pretraining = (pair.comparison.pretraining for pair in look.pairs)
    return [*sentences, *dict.fromkeys(filter(None, pretraining))]


COVERS = (
    "In percent, with 95 % intervals over clips or pictures, of one training. The data are drawn: figures say which of these "
    "encoders is better here, and compare with no published one. Differences are paired, p-values corrected by Holm's method."
)


def as_text(look: Look) -> str:
    """Return what the terminal shows, at most 80 columns wide where the words permit."""
    head, rows = table(look)
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *rows]]
    lines += ["", *(f"{contender.name}: {contender.about}" for contender in look.contenders)]
    lines += [
        "",
        *verdicts(look),
        "",
        *(f"{trial.title}, {trial.meaning}" for trial in look.trials),
        COVERS,
        "",
        "Next:",
    ]
    lines += [f"  {command}\n      {cost}" for command, cost in look.next_steps]
    return "\n".join(lines)


def as_page(look: Look, pictures: Sequence[tuple[Path, str]], title: str) -> str:
    """Return the report as one HTML file that holds its pictures, each with what it shows."""
    head, rows = table(look)
    parts = ["<h2>Is it better?</h2>", list_of(verdicts(look)), f"<p class=quiet>{as_html(COVERS)}</p>"]
    parts += ["<h2>Scores</h2>", table_of(head, rows)]
    parts.append(list_of(f"{contender.name}: {contender.about}" for contender in look.contenders))
    parts += ["<h2>What the numbers mean</h2>", list_of(f"{trial.title}, {trial.meaning}" for trial in look.trials)]
    if look.learning:
        parts += ["<h2>What it learned</h2>", *(figure_of(path.read_bytes(), about) for path, about in look.learning)]
    parts.append("<h2>What the encoders see</h2>")
    parts += [figure_of(path.read_bytes(), about) for path, about in pictures]
    parts += ["<h2>What was loaded</h2>", list_of(look.proof), "<h2>Next</h2>"]
    parts.append("".join(f"<p><code>{as_html(c)}</code><br>{as_html(cost)}</p>" for c, cost in look.next_steps))
    parts.append(f"<p class=quiet>Measured in {look.seconds:.0f} s.</p>")
    return make_page(title, "\n".join(parts))
