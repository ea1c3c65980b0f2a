"""Percentile bootstrap: against the textbook, and its edges."""

import numpy as np
import pytest

from flsl.runtime.errors import UserError
from results.bootstrap import percentile_interval


def test_mean_of_many_values_has_the_interval_of_the_normal_approximation():
    values = np.random.default_rng(3).normal(50.0, 10.0, 4000)
    interval = percentile_interval(values, unit="images", resamples=2000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)
    assert (interval.unit, interval.units, interval.resamples, interval.confidence) == ("images", 4000, 2000, 0.95)


def test_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        interval = percentile_interval(generator.normal(0.0, 1.0, 60), unit="items", resamples=300)
        hits += interval.low <= 0.0 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


def test_same_seed_same_interval_and_another_seed_another():
    values = np.arange(20.0)
    first = percentile_interval(values, unit="items", seed=1)
    assert percentile_interval(values, unit="items", seed=1) == first
    other = percentile_interval(values, unit="items", seed=2)
    assert (first.low, first.high) != (other.low, other.high)
    assert (first.seed, other.seed) == (1, 2)


def test_resamples_whole_units_for_a_statistic_of_several_columns():
    sums = np.array([[30.0, 1.0], [120.0, 2.0], [90.0, 1.0]])  # sequence: sum over objects, number of objects
    interval = percentile_interval(sums, lambda rows: rows[:, 0].sum() / rows[:, 1].sum(), unit="sequences")
    assert 30.0 <= interval.low < 60.0 < interval.high <= 90.0


def test_one_unit_has_no_spread():
    interval = percentile_interval(np.array([61.8]), unit="sequences")
    assert (interval.low, interval.high, interval.units) == (61.8, 61.8, 1)


@pytest.mark.parametrize("sign", [1, -1])
def test_reaches_as_far_as_the_score_itself(sign):
    """Fewer different items are among those that are drawn than there are."""
    ends = percentile_interval(np.arange(20.0), lambda rows: sign * len(np.unique(rows)), unit="images")
    assert (ends.high if sign > 0 else ends.low) == 20 * sign
    assert abs(ends.low) != abs(ends.high)


@pytest.mark.parametrize(("values", "words"), [([], "at least one"), ([1.0, float("nan")], "row 1")])
def test_refuses_nothing_and_nan(values, words):
    with pytest.raises(UserError, match=words):
        percentile_interval(np.array(values), unit="images")


def test_leaves_out_a_few_undefined_resamples_and_refuses_many():
    def undefined_without_first(rows):
        return rows.mean() if 0 in rows else float("nan")

    few = percentile_interval(
        np.arange(3.0), lambda rows: float("nan") if (rows == 0).all() else rows.mean(), unit="images"
    )
    assert 900 < few.resamples < 1000
    with pytest.raises(UserError, match="undefined on"):
        percentile_interval(np.arange(3.0), undefined_without_first, unit="images")
