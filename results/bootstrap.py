"""Percentile bootstrap: how far a score moves with the items it was measured on (docs/protocols.md, "Uncertainty")."""

from collections.abc import Callable

import numpy as np

from flsl.runtime.errors import UserError
from results.record import Interval

RESAMPLES = 1000


def percentile_interval(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float] = np.mean,
    *,
    unit: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the 95 % percentile bootstrap interval of a statistic over units drawn with replacement.

    Args:
        values: (units, ...), one row a unit; for a costly statistic the rows may be indices of the units.
        statistic: maps resampled rows (units, ...) to one number; default: the mean over axis 0 of (units,) values.
        unit: what one row is (`sequences`, `images`).
        resamples: number of resamples; part of the result.
        seed: of the resampling; the same values and seed give the same interval.

    Returns:
        The interval, in the units of the statistic. A single row gives `low == high`: it has no spread to show. Where the
        statistic of the rows themselves lies outside (few rows, a skewed statistic), the interval reaches as far as it.

    Raises:
        UserError: no rows, a NaN among them, or a statistic undefined on more than a tenth of the resamples (a few
            may be: a resample can miss everything that the metric needs, and is then left out).
    """
    values = np.asarray(values)
    if len(values) == 0:
        raise UserError(f"an interval needs at least one of {unit}, but there are none")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = np.argwhere(~np.isfinite(values))[0][0]
        raise UserError(f"an interval over {unit} cannot be taken: row {row} is not a finite number")
    generator = np.random.default_rng(seed)
    drawn = np.array(
        [statistic(values[generator.integers(0, len(values), len(values))]) for _ in range(resamples)], dtype=float
    )
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 0.9 * resamples:
        raise UserError(f"the statistic is undefined on {resamples - len(drawn)} of {resamples} resamples of {unit}")
    low, high = np.quantile(drawn, [0.025, 0.975])
    whole = statistic(values)
    low, high = np.fmin(low, whole), np.fmax(high, whole)
    return Interval(low=float(low), high=float(high), resamples=len(drawn), seed=seed, unit=unit, units=len(values))
