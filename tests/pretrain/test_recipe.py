"""Recipes: every value that cannot work is refused where it is read, by key, value and range; all complaints at once."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.pretrain_run import run

from flsl.runtime.config import dump_config
from flsl.runtime.errors import UserError
from flsl.runtime.schema import parse
from pretrain.methods.flsl import Recipe
from pretrain.recipe import read_recipe

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "pretrain"
REFUSED = [
    ("training.seed=-1", "training.seed must be at least 0, but is -1"),
    ("training.batch_size=0", "training.batch_size must be at least 1, but is 0"),
    ("training.epochs=2.5", "training.epochs must be a whole number, but is 2.5"),
    ("training.drop_path=1.5", "training.drop_path must be below 1, but is 1.5"),
    ("training.accumulate=3", "batch_size 4 is no multiple of accumulate 3"),
    ("runtime.workers=-1", "runtime.workers must be at least 0, but is -1"),
    ("runtime.keep=0", "runtime.keep must be at least 1, but is 0"),
    ("runtime.max_unreadable=2", "runtime.max_unreadable must be at most 1, but is 2"),
    ("views.n_local=-1", "views.n_local must be at least 0, but is -1"),
    ("views.global_size=0", "views.global_size must be at least 1, but is 0"),
    ("views.local_scale=(0.4, 0.05)", "local_scale must be (smallest, largest), but is (0.4, 0.05)"),
    ("views.global_scale=(0.5, 1.5)", "views.global_scale[1] must be at most 1, but is 1.5"),
    ("sampling.window_local=0", "sampling.window_local must be at least 1, but is 0"),
    ("sampling.window_global=7", "views.global_size 48 has 6 tokens a side, fewer than its window of 7"),
    ("optimizer.lr=-1", "optimizer.lr must be above 0, but is -1"),
    ("optimizer.lr=1e999", "optimizer.lr must be a finite number, but is inf"),
    ("optimizer.clip=-1", "optimizer.clip must be at least 0, but is -1"),
    ("optimizer.ema_momentum=2", "optimizer.ema_momentum must be at most 1, but is 2"),
    ("optimizer.warmup_fraction=1.1", "optimizer.warmup_fraction must be at most 1, but is 1.1"),
    ("optimizer.weight_decay=-0.1", "optimizer.weight_decay must be at least 0, but is -0.1"),
    ("temperature.student=0", "temperature.student must be above 0, but is 0"),
    ("temperature.teacher=-0.1", "temperature.teacher must be above 0, but is -0.1"),
    ("mean_shift.scale_sa=-1", "mean_shift.scale_sa must be at least 0, but is -1"),
    ("mean_shift.scale_ca=0.01", "scale_ca must not be smaller than scale_sa"),
    ("loss.gamma=-5", "loss.gamma must be at least 0, but is -5"),
    ("loss.center_momentum=1", "loss.center_momentum must be below 1, but is 1"),
    ("loss.prior=(0.5, 0.6)", "prior must sum to 1, but sums to 1.1"),
    ("loss.prior=(0.5, 0.5)", "loss.prior has 2 values, but head.centroids is 16"),
    ("loss.prior=(1.5, -0.5)", "loss.prior[1] must be above 0, but is -0.5"),
    ("head.centroids=1", "head.centroids must be at least 2, but is 1"),
    ("head.layers=0", "head.layers must be at least 1, but is 0"),
    ("encoder.depth=0", "encoder.depth must be at least 1, but is 0"),
    ("encoder.embed_dim=30", "needs an embed_dim that 4 divides, not 30"),
    ("encoder.position_embedding=fixed", "an encoder is pretrained with 'sincos' or 'learned'"),
    ("encoder.image_mean=(0.5, 0.5, 0.5)", "image_mean and image_std cannot be changed"),
    ("stage.checkpoint=''", "stage.checkpoint must be at least 1 characters long"),
    ("stage.scale=0.1", "stage lacks the key 'checkpoint'"),
    ("training.workers=2", "training.workers is not a known key. Did you mean 'runtime.workers'?"),
    ("trainig.seed=2", "Did you mean 'training'?"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[change for change, _ in REFUSED])
def test_values_that_cannot_work_are_refused(change, message, recipe_file):
    with pytest.raises(UserError) as refused:
        read_recipe(recipe_file, [change])
    assert message in str(refused.value)


def test_all_complaints_come_at_once(recipe_file):
    with pytest.raises(UserError, match=r"optimizer\.lr .*; training\.seed"):
        read_recipe(recipe_file, ["training.seed=-1", "optimizer.lr=0"])


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_recipe_reads_back_what_it_resolves_to(path, tmp_path):
    recipe = read_recipe(path)
    (tmp_path / "config.py").write_text(dump_config(recipe.to_dict()))
    assert read_recipe(tmp_path / "config.py") == recipe


def test_recipe_object_takes_overrides():
    recipe = Recipe()
    changed = read_recipe(recipe, ["optimizer.lr=1e-3", "stage.checkpoint=earlier.safetensors"])
    stage = changed.stage
    assert (changed.optimizer.lr, stage.checkpoint) == (1e-3, "earlier.safetensors")
    assert changed == replace(recipe, optimizer=replace(recipe.optimizer, lr=1e-3), stage=stage)


def test_empty_recipe_is_refused(tmp_path):
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UserError, match="is empty; a recipe has sections such as"):
        read_recipe(tmp_path / "empty.py")


def test_prior_of_a_recipe_is_trained_towards(recipe_file, images, tmp_path):
    prior = [0.4] + [0.04] * 15
    assert parse(Recipe, {"head": {"centroids": 16}, "loss": {"prior": prior}}).loss.prior == tuple(prior)
    assert run(recipe_file, images, tmp_path / "run", "--set", f"loss.prior={prior}") == 0
