"""Is A really better than B? Paired bootstrap over the items that both were scored on, with Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flsl.runtime.errors import UserError, unknown_key
from results.record import FEWEST_UNITS, Record

LEVEL = 0.05  # a p-value below it decides
FEW_ITEMS = 10  # percentile intervals over fewer are much too short
CHUNK = 1 << 22  # numbers of drawn items held at once
TIE = 1e-9  # percent: sums in another order differ by less


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

    @property
    def interval(self) -> str:
        """The interval as text; below `FEWEST_UNITS` items there is none."""
        return f"[{self.low:+.2f}, {self.high:+.2f}]" if self.items >= FEWEST_UNITS else "no interval"


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
        a: the records of one model, one per training; all need `per_item` scores.
        b: those of the other.
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
    metric = metric or item_metric(first)
    items = sorted(_scores(first, metric))
    values = [np.array([_same_items(record, first, metric, items) for record in side]) for side in (a, b)]
    differences = values[0].mean(axis=0) - values[1].mean(axis=0)  # (items,)
    count = len(items)
    means = resampled_means(values, resamples, seed)
    moved = means[:, 0] - means[:, 1]
    low, high = np.quantile(moved, [0.025, 0.975])
    p = two_sided_p(moved, count)
    notes = [f"only {count} items, so the interval is not to be relied on"] if count < FEW_ITEMS else []
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


def resampled_means(models: Sequence[np.ndarray], resamples: int, seed: int = 0) -> np.ndarray:
    """Return each model's mean over resamples of the items, (resamples, models); all models share the draws (paired).

    Args:
        models: scores (trainings, items) of each; where a model has several trainings, they are drawn anew too.
        resamples: how many.
        seed: of the resampling.
    """
    trainings = np.concatenate(models)
    count = trainings.shape[1]
    generator, size = np.random.default_rng(seed), max(1, CHUNK // count)
    means = np.empty((resamples, len(trainings)))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        means[start : start + rows] = times.astype(float) @ trainings.T / count
    generator, columns, first = np.random.default_rng([seed, 1]), [], 0
    for model in models:
        own = means[:, first : first + len(model)]
        if len(model) > 1:
            own = np.take_along_axis(own, generator.integers(0, len(model), own.shape), axis=1)
        columns.append(own.mean(axis=1))
        first += len(model)
    return np.stack(columns, axis=1)


def two_sided_p(moved: np.ndarray, items: int) -> float:
    """Return the p-value of "no difference" from resampled differences (resamples,), as `Comparison` says."""
    # The + 1 counts the sample itself, so that p is never 0 with a finite number of resamples.
    side = min((moved <= TIE).sum(), (moved >= -TIE).sum())
    return max(min(1.0, 2 * (float(side) + 1) / (len(moved) + 1)), 2.0 ** (1 - items))


def item_metric(record: Record) -> str:
    """Return the score of single items that a record's headline is compared by (COCO's items are scored by boxes)."""
    scored = {name for scores in record.per_item.values() for name in scores}
    short = record.headline.removeprefix("box_")
    return short if record.headline not in scored and short in scored else record.headline


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


def _weighting_note(a: Record, b: Record, metric: str, difference: float) -> str:
    """Say so where the benchmark's own score is not the plain mean over items."""
    metric = metric if metric in a.metrics else f"box_{metric}"
    if metric not in a.metrics or metric not in b.metrics:
        return ""
    whole = (a.metrics[metric].value or 0.0) - (b.metrics[metric].value or 0.0)
    if abs(whole - difference) < 1e-6:
        return ""
    return f"plain mean over items; the benchmark's own {metric}, which weighs them otherwise, differs by {whole:+.2f}"
