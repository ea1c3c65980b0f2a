"""Ranks that say only what the data say: models share a rank until one is shown to be worse than the first of them."""

from collections.abc import Sequence

import numpy as np

from results.compare import LEVEL, RESAMPLES, item_metric, resampled_means, spread_of_trainings, two_sided_p
from results.record import FEWEST_UNITS, Record

DRAWS = 20_000_000  # of items in all: fewer resamples of many items, which scatter less


def shared_ranks(models: Sequence[Sequence[Record]], values: Sequence[float], higher: bool) -> list[tuple[int, str]]:
    """Return (rank, why) of models that are sorted best first; `why` is empty for the first of a rank.

    A model begins a new rank where it is shown to be worse than the first of the rank before: by a paired bootstrap over
    the items that both were scored on, corrected for the number of models (Bonferroni); without such scores, or fewer than
    `FEWEST_UNITS` items, by 95 % intervals that do not meet.

    Args:
        models: each one's records, one per training, of one board.
        values: their scores.
        higher: whether more is better.
    """
    paired = _Paired(models)
    ranks, first = [(1, "")], 0
    for index in range(1, len(models)):
        name = models[first][0].model.name
        apart, why = paired.apart(first, index, higher)
        if apart is None:
            apart, why = _intervals_apart(models[first], models[index])
        if values[first] == values[index]:
            apart, why = False, "equal scores"
        if apart:
            first = index
        ranks.append((first + 1, "" if apart else f"not shown to be worse than {name}: {why}"))
    return ranks


class _Paired:
    """The models of a board that were scored on the same single items as the first that has such scores."""

    def __init__(self, models: Sequence[Sequence[Record]]):
        self.level = LEVEL / max(len(models) - 1, 1)
        self.columns: dict[int, int] = {}  # model -> its column of `means`
        self.items: list[str] = []
        scores: list[np.ndarray] = []
        for index, records in enumerate(models if len(models) > 1 else ()):
            metric = item_metric(records[0])
            found = [{k: v[metric] for k, v in record.per_item.items() if metric in v} for record in records]
            if not self.items and len(found[0]) >= FEWEST_UNITS:
                self.items = sorted(found[0])
            if self.items and all(item.keys() == set(self.items) for item in found):
                self.columns[index] = len(scores)
                scores.append(np.array([[item[name] for name in self.items] for item in found]))
        if len(scores) > 1:
            self.scores = [score.mean(axis=0) for score in scores]  # (items,) each
            # With fewer than 40 for each model no p-value could be below the corrected level.
            resamples = max(RESAMPLES // 5, min(RESAMPLES, DRAWS // len(self.items)), 50 * len(scores))
            self.means = resampled_means(scores, spread_of_trainings(scores), resamples)

    def apart(self, first: int, other: int, higher: bool) -> tuple[bool | None, str]:
        """Tell whether another model is worse than the first, and what decided; None where items cannot tell."""
        if first not in self.columns or other not in self.columns:
            return None, ""
        a, b = self.columns[first], self.columns[other]
        differences = self.scores[a] - self.scores[b]
        p = two_sided_p(self.means[:, a] - self.means[:, b], differences)
        worse = (differences.mean() > 0) == higher
        corrected = min(1.0, p * LEVEL / self.level)
        return worse and p < self.level, f"p = {corrected:.2f}, paired over {len(self.items)} items"


def _intervals_apart(a: Sequence[Record], b: Sequence[Record]) -> tuple[bool, str]:
    """Tell whether the 95 % intervals of two models' scores do not meet."""
    bounds = [[record.metrics[record.headline].bounds for record in records] for records in (a, b)]
    if any(bound is None for side in bounds for bound in side):
        return False, "no interval and no scores of single items"
    (low_a, high_a), (low_b, high_b) = (np.mean([b for b in side if b], axis=0) for side in bounds)
    return bool(low_a > high_b or low_b > high_a), "their 95 % intervals meet"
