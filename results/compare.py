"""Is A really better than B? Paired bootstrap over the items that both were scored on, the chance of training, Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.text import shorten
from results.pretrained import differing_pretraining
from results.record import FEWEST_UNITS, Record

LEVEL = 0.05  # a p-value below it decides
RESAMPLES = 10_000  # of the items, unless a comparison has to decide more finely
FEW_FREEDOM = 4  # of the spread of trainings: below it Student's distribution has very long tails
FEW_ITEMS = 10  # intervals over fewer rest on how the items' differences are distributed
CHUNK = 1 << 22  # numbers of drawn items held at once
EVERY_SIGN = 16  # differing items up to which all patterns of signs are tried
MOST_FLIPPED = 1000  # differing items above which bootstrap and sign flips say the same
TIE = 1e-9  # percent: sums in another order differ by less


@dataclass(frozen=True)
class Comparison:
    """A minus B on one metric: mean difference over items (percent) with its 95 % interval.

    `p` is the two-sided p-value of "no difference", by the bootstrap and by flipping the signs of the items' differences: the
    larger of the two (docs/protocols.md, "Uncertainty"). `p_holm` is corrected for all comparisons made together. `better`
    counts the items on which A is better.
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
    pretrained: tuple[str, ...] = ()  # what differs, and that of A and B (`results.pretrained`)

    @property
    def notes(self) -> str:
        """All that has to be said beside it, in words: `note`, and what A and B were pretrained on where that differs."""
        return "; ".join(filter(None, [self.note, self.pretraining]))

    @property
    def pretraining(self) -> str:
        """What A and B were pretrained on, in words; empty where nothing tells that it differs."""
        if not self.pretrained:
            return ""
        what, of_a, of_b = self.pretrained
        return f"{what}: {self.a} on {of_a}, {self.b} on {of_b}"

    @property
    def interval(self) -> str:
        """The interval as text; below `FEWEST_UNITS` items there is none."""
        return f"[{self.low:+.2f}, {self.high:+.2f}]" if self.items >= FEWEST_UNITS else "no interval"


@dataclass(frozen=True)
class Spread:
    """How far trainings of one model scatter: the variance of their mean scores, and its degrees of freedom."""

    variance: float
    freedom: int


def compare_records(
    a: Record, b: Record, metric: str | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare two records of one protocol on the same items; see `compare_groups`."""
    return compare_groups([a], [b], metric, resamples=resamples, seed=seed)


def compare_groups(
    a: Sequence[Record],
    b: Sequence[Record],
    metric: str | None = None,
    *,
    spread: Spread | None = None,
    trained: Sequence[bool] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two models, each with the records of one or several trainings, on the same items of one protocol.

    Args:
        a: the records of one model, one per training; all need `per_item` scores.
        b: those of the other.
        metric: key of the items' scores; default: the headline of `a` (without box_, where items have that).
        spread: how far trainings scatter; default: as those of both sides do (docs/protocols.md, "Uncertainty").
        trained: for each side, whether its record is one of a method's trainings also where it is the only one.
        resamples: bootstrap resamples of the items, drawn once for both sides (paired); where a side has several
            trainings, their chance is added, so that the interval covers both.
        seed: of the resampling.

    Raises:
        UserError: other protocol, data or items, or no such scores.
    """
    first = a[0]
    metric = metric or item_metric(first)
    values = item_scores([a, b], metric)
    spread = spread or spread_of_trainings(values)
    differences = values[0].mean(axis=0) - values[1].mean(axis=0)  # (items,)
    count = len(differences)
    means = resampled_means(values, spread, resamples, seed, trained)
    moved = means[:, 0] - means[:, 1]
    low, high = np.quantile(moved, [0.025, 0.975])
    p = two_sided_p(moved, differences)
    notes = [f"only {count} items, so the interval is not to be relied on"] if count < FEW_ITEMS else []
    notes.append(_weighting_note(a, b, metric, float(differences.mean())))
    if len(a) + len(b) > 2 and spread.freedom < FEW_FREEDOM:
        notes.append(f"few trainings: how far they scatter is known by {spread.freedom} degrees of freedom")
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
        better=int(((differences > 0) if is_higher_better(first, metric) else (differences < 0)).sum()),
        note="; ".join(filter(None, notes)),
        pretrained=differing_pretraining(first, b[0]),
    )


def spread_of_trainings(models: Sequence[np.ndarray]) -> Spread:
    """Return the variance of trainings around their own model's mean, taken to be the same for all models (pooled).

    Args:
        models: scores (trainings, items) of each; those of one training tell nothing.
    """
    means = [model.mean(axis=1) for model in models]
    freedom = sum(len(mean) - 1 for mean in means)
    total = sum(float(((mean - mean.mean()) ** 2).sum()) for mean in means)
    return Spread(total / freedom if freedom else 0.0, freedom)


def resampled_means(
    models: Sequence[np.ndarray], spread: Spread, resamples: int, seed: int = 0, trained: Sequence[bool] = ()
) -> np.ndarray:
    """Return each model's mean over resamples of the items, (resamples, models); all models share the draws (paired).

    Resamples of n items scatter as if those were all there are. Each is taken as far from the mean as Student's distribution
    has it for n: percentiles of the plain ones cover 89 of 100 true differences on 10 items where they should cover 95.

    To the mean of a model with several trainings comes what other trainings could have given: normal, by a variance that is
    itself only known from a few, so that a difference of two has Student's distribution. Redrawing two trainings would
    take their agreement for proof: in a third of all cases two and two lie apart by chance.

    Args:
        models: scores (trainings, items) of each.
        spread: of trainings.
        resamples: how many.
        seed: of the resampling.
        trained: for each model, whether a single training of it counts as one of several.
    """
    scores = np.stack([model.mean(axis=0) for model in models])  # (models, items)
    count = scores.shape[1]
    generator, size = np.random.default_rng(seed), max(1, CHUNK // count)
    means = np.empty((resamples, len(scores)))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        means[start : start + rows] = times.astype(float) @ scores.T / count
    if count > 1:
        farther = np.sqrt(count / np.random.default_rng([seed, 2]).chisquare(count - 1, (resamples, 1)))
        means += (farther - 1) * (means - scores.mean(axis=1))
    if spread.freedom:
        generator = np.random.default_rng([seed, 1])
        deviation = np.sqrt(spread.variance * spread.freedom / generator.chisquare(spread.freedom, (resamples, 1)))
        alone = [*trained, *[False] * (len(models) - len(trained))]
        share = np.array([len(m) ** -0.5 if len(m) > 1 or varies else 0.0 for m, varies in zip(models, alone)])
        means += deviation * share * generator.standard_normal(means.shape)
    return means


def two_sided_p(moved: np.ndarray, differences: np.ndarray) -> float:
    """Return the p-value of "no difference": the larger of what resamples and sign flips say.

    Args:
        moved: resampled mean differences (resamples,).
        differences: of the items themselves (items,).
    """
    # The + 1 counts the sample itself, so that p is never 0 with a finite number of resamples.
    side = min((moved <= TIE).sum(), (moved >= -TIE).sum())
    return max(min(1.0, 2 * (float(side) + 1) / (len(moved) + 1)), sign_flip_p(differences, len(moved)))


def sign_flip_p(differences: np.ndarray, draws: int) -> float:
    """Return how often the mean is as far from 0 as it is where the sign of each item's difference is a coin's.

    Resamples alone take many items without a difference for proof: of 127, 6 that differ, all to one side, would have p = 0.005
    and have 0.03. Exact for up to `EVERY_SIGN` items that differ, by `draws`
    random patterns for more; above `MOST_FLIPPED` it is not asked (0).

    Args:
        differences: of the items (items,).
        draws: patterns of signs.
    """
    differing = differences[np.abs(differences) > TIE]
    count, total = len(differing), differing.sum()
    if count > MOST_FLIPPED:
        return 0.0
    if count <= EVERY_SIGN:
        patterns = np.arange(1 << max(count - 1, 0), dtype=np.uint16)[:, None]  # the others are these turned round
        negative = (patterns >> np.arange(count, dtype=np.uint16)) & 1
        return float((np.abs(total - 2 * negative.astype(float) @ differing) >= abs(total) - TIE).mean())
    generator, size, found = np.random.default_rng(0), max(1, CHUNK // count), 0
    for start in range(0, draws, size):
        negative = generator.integers(0, 2, (min(size, draws - start), count), dtype=np.int8)
        found += int((np.abs(total - 2 * negative.astype(float) @ differing) >= abs(total) - TIE).sum())
    return (found + 1) / (draws + 1)


def item_metric(record: Record) -> str:
    """Return the score of single items that a record's headline is compared by (COCO's items are scored by boxes)."""
    scored = {name for scores in record.per_item.values() for name in scores}
    short = record.headline.removeprefix("box_")
    return short if record.headline not in scored and short in scored else record.headline


def is_higher_better(record: Record, metric: str) -> bool:
    """Tell whether more is better of a score of a record's single items."""
    declared = record.metrics.get(metric) or record.metrics.get(f"box_{metric}")
    return declared is None or declared.higher_is_better


def item_scores(models: Sequence[Sequence[Record]], metric: str) -> list[np.ndarray]:
    """Return the scores (trainings, items) of each model's records, items in one order.

    Raises:
        UserError: other protocol, data or items, or no such scores.
    """
    first = models[0][0]
    for records in models:
        for record in records:
            _check_same(first, record)
    items = sorted(_scores(first, metric))
    return [np.array([_same_items(record, first, metric, items) for record in records]) for records in models]


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
            f"one record only ({shorten(alone, 5)})."
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
        ("protocol differs", a.protocol, b.protocol),
        ("data set differs", f"{a.dataset.name} {a.dataset.split}", f"{b.dataset.name} {b.dataset.split}"),
        ("annotations differ", a.dataset.annotation_sha256, b.dataset.annotation_sha256),
        ("training data differ", a.dataset.train_sha256, b.dataset.train_sha256),
    ):
        if one != other:
            raise UserError(
                f"{a.model.name} and {b.model.name} cannot be compared: the {what} ({one or 'unknown'} and {other or 'unknown'}). "
                "Give records of one protocol on the same data."
            )


def _weighting_note(a: Sequence[Record], b: Sequence[Record], metric: str, difference: float) -> str:
    """Say so where the benchmark's own score is not the plain mean over items."""
    metric = metric if metric in a[0].metrics else f"box_{metric}"
    if any(metric not in record.metrics for record in (*a, *b)):
        return ""
    whole, other = (np.mean([record.metrics[metric].value or 0.0 for record in records]) for records in (a, b))
    if abs(whole - other - difference) < 1e-6:
        return ""
    return f"plain mean over items; the benchmark's own {metric}, which weighs them otherwise, differs by {whole - other:+.2f}"
