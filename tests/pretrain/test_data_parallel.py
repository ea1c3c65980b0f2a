"""Two gloo processes compute what one process computes on the same global batch, accumulating or not."""

import os
import subprocess
import sys

import pytest
from support.comparators import COMPARATORS
from support.parallel_step import assert_equal, comparators, launch
from support.pretrain_run import words

from flsl.checkpoint import load_encoder
from flsl.runtime.errors import UserError
from pretrain.dataset import check_batch
from pretrain.methods.flsl import Recipe
from pretrain.recipe import Training


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """A folder, what one process saved there, and what two did."""
    out = tmp_path_factory.mktemp("ranks")
    (alone,) = launch(out, 1)
    return out, alone, launch(out, 2, parts=(1, 2))


def test_two_ranks_equal_one(launched):
    _, alone, ranks = launched
    for rank in ranks:
        assert_equal(rank, alone)  # weights include both networks and the center
        assert abs(rank["vmr"] - alone["vmr"]) <= 1e-6
        for found, wanted in zip(rank["contrast"], alone["contrast"], strict=True):  # against the tokens of all ranks
            assert (found - wanted).abs().max() <= 1e-9
    assert alone["weights"]["center"].abs().max() > 0


@pytest.mark.parametrize("name", COMPARATORS)
def test_two_ranks_of_other_methods_equal_one(name, launched):
    """Centers, batch normalization, and losses that compare the images of all ranks."""
    (alone,) = comparators(launched[0], 1)
    for rank in comparators(launched[0], 2):
        assert_equal(rank[name], alone[name])
    assert max(value.abs().max() for value in alone[name]["gradients"].values()) > 1e-4


def test_training_program_runs_on_two_ranks(recipe_file, images, tmp_path):
    out = tmp_path / "run"

    def run(*arguments):
        command = [sys.executable, "-m", "flsl", "launch", "2"]
        command += ["pretrain", *words(recipe_file, images, out, *arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    result = run()
    assert (result.returncode, result.stderr) == (0, "")  # no advice of libraries for developers either
    assert (out / "encoder.safetensors").exists()
    assert result.stdout.count("step 6/6") == 1  # only one rank speaks
    result = run("--set", "training.epochs=3", "--allow-config-change", "training.epochs")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("resuming") == 1
    assert load_encoder(out / "encoder.safetensors").pretraining["epochs"] == 3


def test_batch_that_does_not_split_is_refused():
    recipe = Recipe(training=Training(batch_size=12, accumulate=2))
    check_batch(12, recipe, world=3)
    with pytest.raises(UserError, match="must be a multiple of ranks x accumulate = 4 x 2"):
        check_batch(12, recipe, world=4)
