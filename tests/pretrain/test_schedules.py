"""Schedules equal the published ones, and recipes turn into the right ones."""

import numpy as np
import pytest
from support.flsl_case import case_files
from support.reference import read_case

from flsl.objective import MeanShift
from pretrain.methods.flsl import Recipe
from pretrain.recipe import CentroidOptimizer, Training
from pretrain.schedules import Schedules, cosine_schedule, teacher_temperature_schedule


@pytest.mark.parametrize("path", case_files("teacher_temperature/"))
def test_reference_schedules_equal_the_published_ones(path):
    arrays, config = read_case(path)
    for i, a in enumerate(config["cosine"]):
        values = cosine_schedule(
            a["base"], a["final"], a["epochs"], a["iterations_per_epoch"], a["warmup_epochs"], a["start"]
        )
        np.testing.assert_allclose(values, arrays[f"cosine/{i}"], rtol=0, atol=1e-15)
    for i, a in enumerate(config["teacher_temperature"]):
        values = teacher_temperature_schedule(a["start"], a["final"], a["warmup_epochs"], a["epochs"])
        np.testing.assert_allclose(values, arrays[f"teacher_temperature/{i}"], rtol=0, atol=1e-15)


def test_recipe_schedules():
    schedules = Schedules.of(Recipe(training=Training(epochs=20, batch_size=512)), steps_per_epoch=5)
    assert schedules.lr[0] == 0
    assert schedules.lr[9] == 5e-4 * 512 / 256  # the last of 2 warm-up epochs
    assert schedules.weight_decay[0] == pytest.approx(0.04)
    assert np.all(schedules.of_method["mixture"] == 1)


def test_a_share_of_the_epochs_that_is_whole_stays_whole():
    recipe = Recipe(optimizer=CentroidOptimizer(warmup_fraction=0.29), training=Training(epochs=100, batch_size=256))
    assert np.argmax(Schedules.of(recipe, steps_per_epoch=2).lr) == 2 * 29 - 1


def test_a_start_of_zero_is_a_value():
    recipe = Recipe(mean_shift=MeanShift(scale_sa_start=0.0, scale_ca_start=0.0), training=Training(epochs=2))
    assert Schedules.of(recipe, 3).of_method["scale_sa"][0] == 0
    assert Schedules.of(Recipe(training=Training(epochs=2)), 3).of_method["scale_sa"][0] == pytest.approx(
        0.1 / 384**0.5
    )


def test_short_runs_cut_the_temperature_ramp():
    whole = teacher_temperature_schedule(0.04, 0.07, 30, 40)
    np.testing.assert_array_equal(teacher_temperature_schedule(0.04, 0.07, 30, 5), whole[:5])


def test_collapsing_scales_are_refused():
    with pytest.raises(ValueError, match="scale_ca"):
        MeanShift(scale_sa=0.2, scale_ca=0.1)
    for start in ({"scale_sa_start": 0.5}, {"scale_ca_start": 0.0}, {"scale_sa_start": 0.3, "scale_ca_start": 0.2}):
        with pytest.raises(ValueError, match="at any time"):
            MeanShift(**start)
