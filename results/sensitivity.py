"""Do protocols agree on which checkpoint is better? The same checkpoints under every protocol, and Kendall's tau."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from results.leaderboard import Row, trainings_of

EXPLANATION = (
    "Each column is the headline of one protocol, each row one checkpoint; tau compares the orders that two protocols put "
    "the same checkpoints in: 1 is the same order, -1 the opposite one, 0 no relation. Only checkpoints that both "
    "protocols scored count. A swapped pair is ordered otherwise by the second protocol; it is decided only where the "
    "95 % intervals of both protocols keep the two apart."
)


@dataclass(frozen=True)
class Agreement:
    """Two protocols over the checkpoints that both scored. `tau` is tau-b; None where all of them tie.

    `swapped` are the pairs of checkpoints that the protocols order otherwise; `decided` of them by intervals that keep
    them apart in both.
    """

    first: str
    second: str
    models: int
    tau: float | None
    swapped: tuple[tuple[str, str], ...]
    decided: int


@dataclass(frozen=True)
class Sensitivity:
    """One data set: score rows by (checkpoint, protocol), and the agreement of each two protocols."""

    data: str
    protocols: tuple[str, ...]
    models: tuple[str, ...]  # by their mean rank, best first
    rows: dict[tuple[str, str], Row]
    agreements: tuple[Agreement, ...]
    left_out: tuple[str, ...]


def sensitivities(rows: Sequence[Row]) -> list[Sensitivity]:
    """Return one table per benchmark and data set on which at least two protocols scored two checkpoints in common, or might
    have if nothing were left out.

    Rows come from `build_leaderboard`, so none is partial. A checkpoint that one protocol scored several times (by other
    recipes) is left out of that protocol, since nothing says which score is meant.
    """
    groups: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        digests = row.annotation_sha256, row.train_sha256
        groups[row.benchmark, row.dataset, row.split, digests, row.items].append(row)
    tables = [_sensitivity(members) for members in groups.values()]
    return [table for table in tables if table.agreements or table.left_out]


def _sensitivity(rows: Sequence[Row]) -> Sensitivity:
    """Compare the protocols on one data set."""
    names = _names(rows)
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        cells[names[row.model, row.fingerprint], row.protocol].append(row)
    single = {key: found[0] for key, found in cells.items() if len(found) == 1}
    left_out = tuple(
        f"{model} by {protocol}: {len(found)} recipes, so none is compared"
        for (model, protocol), found in sorted(cells.items())
        if len(found) > 1
    )
    protocols = tuple(sorted({protocol for _, protocol in single}))
    pairs = ((first, second) for first, second in combinations(protocols, 2))
    agreements = tuple(found for pair in pairs if (found := _agreement(*pair, single)).models >= 2)
    first = rows[0]
    kept = sorted({model for model, _ in single}, key=lambda model: (_mean_rank(model, single), model))
    return Sensitivity(f"{first.dataset} {first.split}", protocols, tuple(kept), single, agreements, left_out)


def _names(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Return a name for each row's checkpoint, with the beginning of a fingerprint where names are not enough."""
    first = {key: min(marks) for key, marks in trainings_of(rows).items()}
    several = Counter(model for model, _ in {(model, mark) for (model, _), mark in first.items()})
    return {key: key[0] if several[key[0]] == 1 else f"{key[0]} ({mark[:8]})" for key, mark in first.items()}


def _mean_rank(model: str, rows: dict[tuple[str, str], Row]) -> float:
    """Return the mean place of a checkpoint in the protocols that scored it; 0 is the first."""
    places = []
    for (name, protocol), row in rows.items():
        if name == model:
            others = [other for (_, by), other in rows.items() if by == protocol]
            places.append(sum(_better(other, row) > 0 for other in others) / len(others))
    return sum(places) / len(places)


def _better(a: Row, b: Row) -> int:
    """Return 1 where row a of a protocol is better than row b, -1 where it is worse, 0 where they tie."""
    higher = a.records[0].metrics[a.headline].higher_is_better
    return (1 if higher else -1) * ((a.value > b.value) - (a.value < b.value))


def _apart(a: Row, b: Row) -> bool:
    """Tell whether the intervals of two rows do not meet."""
    bounds = [row.interval_low for row in (a, b)], [row.interval_high for row in (a, b)]
    if any(bound is None for side in bounds for bound in side):
        return False
    return a.interval_low > b.interval_high or b.interval_low > a.interval_high  # type: ignore[operator]  # see above


def _agreement(first: str, second: str, rows: dict[tuple[str, str], Row]) -> Agreement:
    """Compare two protocols by the pairs of checkpoints that both scored."""
    shared = sorted({model for model, by in rows if by == first} & {model for model, by in rows if by == second})
    concordant = discordant = decided = 0
    ties = [0, 0]
    swapped = []
    for a, b in combinations(shared, 2):
        orders = [_better(rows[a, protocol], rows[b, protocol]) for protocol in (first, second)]
        for side, order in enumerate(orders):
            ties[side] += order == 0
        if orders[0] * orders[1] > 0:
            concordant += 1
        elif orders[0] * orders[1] < 0:
            discordant += 1
            swapped.append((a, b) if orders[0] > 0 else (b, a))  # the first protocol's better one first
            decided += all(_apart(rows[a, protocol], rows[b, protocol]) for protocol in (first, second))
    pairs = len(shared) * (len(shared) - 1) // 2
    scale = ((pairs - ties[0]) * (pairs - ties[1])) ** 0.5
    tau = (concordant - discordant) / scale if scale else None
    return Agreement(first, second, len(shared), tau, tuple(swapped), decided)
