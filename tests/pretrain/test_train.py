"""`pretrain.train`: the program without a command line."""

import subprocess
import sys

import pytest

from flsl import UserError, load_encoder
from pretrain import train
from pretrain.recipe import read_recipe


def test_train_returns_the_encoder(recipe_file, images, tmp_path, capsys, one_thread):
    one = train(recipe_file, images, tmp_path / "file", overrides=["runtime.workers=0"], device="cpu")
    recipe = read_recipe(recipe_file, ["runtime.workers=0"])
    other = train(recipe, str(images), str(tmp_path / "object"), device="cpu")
    assert one == tmp_path / "file" / "encoder.safetensors"
    assert load_encoder(one).pretraining["steps"] == 6
    assert load_encoder(one).model_fields()["fingerprint"] == load_encoder(other).model_fields()["fingerprint"]
    assert train(recipe, images, tmp_path / "object", device="cpu") == other
    assert "skipped" in capsys.readouterr().out


def test_train_raises_what_the_program_prints(recipe_file, images, tmp_path):
    train(recipe_file, images, tmp_path / "run", device="cpu", overrides=["training.epochs=1"])
    with pytest.raises(UserError, match=r"training\.epochs: 1 -> 2"):
        train(recipe_file, images, tmp_path / "run", device="cpu")
    train(recipe_file, images, tmp_path / "run", device="cpu", allowed=["training.epochs"])
    train(recipe_file, images, tmp_path / "run", device="cpu", overrides=["training.seed=3"], resume="never")


def test_import_needs_no_torch():
    code = "import sys, pretrain, pretrain.recipe; pretrain.train; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
