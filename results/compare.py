"""Is A really better than B? Paired bootstrap over the items that both were scored on, with Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flsl.runtime.errors import UserError, unknown_key
from results.record import Record

FEW_ITEMS = 10  # percentile intervals over fewer are much too short


@dataclass(frozen=True)
class Comparison:
    """A minus B on one metric: mean difference over items (percent) with its 95 % interval.

    `p` is the two-sided bootstrap p-value of "no difference", but at least 2 / 2^items: no fewer sign patterns exist, so
    a handful of items that agree prove nothing. `p_holm` is corrected for all comparisons made together. `better` counts
    the items on which A scores higher.
    """

    a: str
    b: str
    metric: str
    items: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    better: int
    note: str = ""


def compare_records(
    a: Record, b: Record, metric: str | None = None, *, resamples: int = 10_000, seed: int = 0
) -> Comparison:
    """Compare two records of one protocol on the same items; see `compare_groups`."""
    return compare_groups([a], [b], metric, resamples=resamples, seed=seed)


def compare_groups(
    a: Sequence[Record], b: Sequence[Record], metric: str | None = None, *, resamples: int = 10_000, seed: int = 0
) -> Comparison:
    """Compare two models, each with the records of one or several trainings, on the same items of one protocol.

    Args:
        a, b: the records, one per training; all need `per_item` scores.
        metric: key of the items' scores; default: the headline of `a` (without box_, where items have that).
        resamples: bootstrap resamples of the items, drawn once for both sides (paired); where a side has several
            trainings, they are drawn anew too, so that the interval covers both.
        seed: of the resampling.

    Raises:
        UserError: other protocol, data or items, or no such scores.
    """
    first = a[0]
    for other in (*a[1:], *b):
        _check_same(first, other)
    if metric is None:
        scored = {name for scores in first.per_item.values() for name in scores}
        short = first.headline.removeprefix("box_")
        metric = short if first.headline not in scored and short in scored else first.headline
    items = sorted(_scores(first, metric))
    values = [np.array([_same_items(record, first, metric, items) for record in side]) for side in (a, b)]
    differences = values[0].mean(axis=0) - values[1].mean(axis=0)  # (items,)
    generator = np.random.default_rng(seed)
    count = len(items)
    means = np.empty(resamples)
    for index in range(resamples):
        drawn = generator.integers(0, count, count)
        if len(a) == len(b) == 1:
            means[index] = differences[drawn].mean()
        else:
            sides = [side[generator.integers(0, len(side), len(side))][:, drawn].mean() for side in values]
            means[index] = sides[0] - sides[1]
    low, high = np.quantile(means, [0.025, 0.975])
    # The + 1 counts the sample itself, so that p is never 0 with a finite number of resamples.
    side = min((means <= 0).sum(), (means >= 0).sum())
    p = max(min(1.0, 2 * (float(side) + 1) / (resamples + 1)), 2.0 ** (1 - count))
    notes = [_few_items_note(count)]
    if len(a) == len(b) == 1:
        notes.append(_weighting_note(first, b[0], metric, float(differences.mean())))
    return Comparison(
        a=first.model.name,
        b=b[0].model.name,
        metric=metric,
        items=count,
        difference=float(differences.mean()),
        low=float(low),
        high=float(high),
        p=p,
        p_holm=p,
        better=int((differences > 0).sum()),
        note="; ".join(filter(None, notes)),
    )


def _scores(record: Record, metric: str) -> dict[str, float]:
    """Return the metric of each item that has it. Raises UserError where none has."""
    known = sorted({name for scores in record.per_item.values() for name in scores})
    if not known:
        raise UserError(f"record of {record.model.name} has no scores of single items, which a comparison needs.")
    if metric not in known:
        what = f"record of {record.model.name}: {metric!r}"
        raise UserError(unknown_key(what, metric, known, "score of its single items, which a comparison needs"))
    return {item: scores[metric] for item, scores in record.per_item.items() if metric in scores}


def _same_items(record: Record, first: Record, metric: str, items: list[str]) -> list[float]:
    """Return the metric of `items`. Raises UserError if the record has others."""
    scores = _scores(record, metric)
    if alone := sorted(scores.keys() ^ set(items)):
        raise UserError(
            f"{first.model.name} and {record.model.name} were not scored on the same items: {len(alone)} have a {metric} in "
            f"one record only ({', '.join(alone[:5])}{', ...' if len(alone) > 5 else ''})."
        )
    return [scores[item] for item in items]


def holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons with p-values corrected for their number (Holm 1979), in the given order."""
    order = sorted(range(len(comparisons)), key=lambda index: comparisons[index].p)
    corrected, largest = list(comparisons), 0.0
    for position, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - position) * comparisons[index].p))
        corrected[index] = replace(comparisons[index], p_holm=largest)
    return corrected


def _check_same(a: Record, b: Record) -> None:
    for what, one, other in (
        ("protocol", a.protocol, b.protocol),
        ("data set", f"{a.dataset.name} {a.dataset.split}", f"{b.dataset.name} {b.dataset.split}"),
        ("annotations", a.dataset.annotation_sha256, b.dataset.annotation_sha256),
    ):
        if one != other:
            raise UserError(
                f"{a.model.name} and {b.model.name} cannot be compared: the {what} differs ({one} and {other}). "
                "Give records of one protocol on the same data."
            )


def _few_items_note(count: int) -> str:
    return f"only {count} items, so the interval is not to be relied on" if count < FEW_ITEMS else ""


def _weighting_note(a: Record, b: Record, metric: str, difference: float) -> str:
    """Say so where the benchmark's own score is not the plain mean over items."""
    metric = metric if metric in a.metrics else f"box_{metric}"
    if metric not in a.metrics or metric not in b.metrics:
        return ""
    whole = (a.metrics[metric].value or 0.0) - (b.metrics[metric].value or 0.0)
    if abs(whole - difference) < 1e-6:
        return ""
    return f"plain mean over items; the benchmark's own {metric}, which weighs them otherwise, differs by {whole:+.2f}"
