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
    """Compare two records of one protocol on the same items.

    Args:
        a, b: the records; both need `per_item` scores.
        metric: key of the items' scores; default: the headline of `a` (without box_, where items have that).
        resamples: bootstrap resamples of the items, drawn once for both records (paired).
        seed: of the resampling.

    Raises:
        UserError: other protocol, data or items, or no such scores.
    """
    _check_same(a, b)
    if metric is None:
        scored = {name for scores in a.per_item.values() for name in scores}
        short = a.headline.removeprefix("box_")
        metric = short if a.headline not in scored and short in scored else a.headline
    values = []
    for record in (a, b):
        known = sorted({name for scores in record.per_item.values() for name in scores})
        if metric not in known:
            if not known:
                raise UserError(
                    f"record of {record.model.name} has no scores of single items, which a comparison needs."
                )
            what = f"record of {record.model.name}: {metric!r}"
            raise UserError(unknown_key(what, metric, known, "score of its single items, which a comparison needs"))
        values.append({item: scores[metric] for item, scores in record.per_item.items() if metric in scores})
    alone = sorted(values[0].keys() ^ values[1].keys())
    if alone:
        raise UserError(
            f"{a.model.name} and {b.model.name} were not scored on the same items: {len(alone)} have a {metric} in one "
            f"record only ({', '.join(alone[:5])}{', ...' if len(alone) > 5 else ''})."
        )
    differences = np.array([values[0][item] - values[1][item] for item in sorted(values[0])])
    generator = np.random.default_rng(seed)
    count = len(differences)
    means = np.array([differences[generator.integers(0, count, count)].mean() for _ in range(resamples)])
    low, high = np.quantile(means, [0.025, 0.975])
    # The + 1 counts the sample itself, so that p is never 0 with a finite number of resamples.
    side = min((means <= 0).sum(), (means >= 0).sum())
    p = max(min(1.0, 2 * (float(side) + 1) / (resamples + 1)), 2.0 ** (1 - count))
    return Comparison(
        a=a.model.name,
        b=b.model.name,
        metric=metric,
        items=count,
        difference=float(differences.mean()),
        low=float(low),
        high=float(high),
        p=p,
        p_holm=p,
        better=int((differences > 0).sum()),
        note="; ".join(
            filter(None, (_few_items_note(count), _weighting_note(a, b, metric, float(differences.mean()))))
        ),
    )


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
