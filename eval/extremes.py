"""The two ends of a ranking, which a sheet of pictures shows."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def worst_and_best(ranked: Sequence[T], worst: int = 4, best: int = 2) -> list[T]:
    """Return so many of both ends of what is ranked from the worst to the best, in that order; all where they are few."""
    return list(ranked) if len(ranked) <= worst + best else [*ranked[:worst], *ranked[-best:]]
