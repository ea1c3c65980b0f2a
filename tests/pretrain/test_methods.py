"""Every method trains through the public command, resumes bit for bit, is recorded and replayed; a method is one file."""

import sys
from pathlib import Path

import pytest
import torch
from support.comparators import COMPARATORS, draw_batch, settings, tiny_recipe
from support.pretrain_run import log, run
from support.tape import record_on_tape

import pretrain.methods
from flsl.checkpoint import load_encoder
from flsl.runtime.config import dump_config
from flsl.runtime.errors import UserError
from flsl.runtime.schema import parse
from pretrain.__main__ import main
from pretrain.method import build_model, find_method
from pretrain.methods import load_method
from pretrain.recipe import read_recipe
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "pretrain"
TOY = """
import torch
from pretrain import method, recipe
from pretrain.views import GlobalViews, plan_crops
from pretrain.whole_image import ImageNetwork
from flsl.encoder import Encoder
from flsl.runtime.schema import Positive, section
from dataclasses import field

@section
class Toy:
    weight: Positive = 1.0

@section
class Recipe(recipe.Recipe):
    method: str = "toy"
    views: GlobalViews = field(default_factory=GlobalViews)
    toy: Toy = field(default_factory=Toy)

class Method(method.Method):
    title = "Toy"

    def __init__(self, recipe):
        super().__init__()
        self.student = ImageNetwork(Encoder(recipe.encoder), torch.nn.Linear(recipe.encoder.embed_dim, 4))
        self.weight = recipe.toy.weight

    @classmethod
    def build(cls, recipe, given):
        return cls(recipe)

    @classmethod
    def plan(cls, recipe, width, height, random):
        return plan_crops(recipe, width, height, random)

    def forward(self, batch, values):
        first, second = self.student(batch.views).chunk(2)
        loss = self.weight * (first - second).square().mean()
        return method.Output(loss, {"loss": loss.detach()})
"""


@pytest.mark.parametrize("name", COMPARATORS)
def test_an_interrupted_run_goes_on_bit_for_bit(name, images, tmp_path, one_thread):
    recipe, out = tmp_path / "recipe.py", tmp_path / "run"
    recipe.write_text(dump_config(settings(name, batch_size=4, epochs=1)))
    assert run(recipe, images, out) == 0
    whole, rows = load_encoder(out / "encoder.safetensors"), log(out)
    assert whole.method == find_method(read_recipe(recipe)).title
    assert whole.pretraining["flops_per_image"] > 1e5
    assert whole.pretraining["recipe"]["method"] == name
    assert whole.encoder.config.class_token
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert all(torch.isfinite(torch.tensor(row["loss"])) for row in rows)
    (out / "states" / "step_00000003.json").unlink()
    (out / "encoder.safetensors").unlink()
    assert run(recipe, images, out) == 0
    assert log(out) == rows
    assert load_encoder(out / "encoder.safetensors").fingerprint == whole.fingerprint


@pytest.mark.parametrize("name", COMPARATORS)
def test_replayed_steps_equal_steps(name):
    recipe, cpu = tiny_recipe(name), torch.device("cpu")
    schedules = Schedules.of(recipe, steps_per_epoch=2)
    ones, replayed = (
        TrainingStep(build_model(recipe), recipe, schedules, cpu, record=r) for r in (None, record_on_tape)
    )
    for number in range(4):
        batch = draw_batch(recipe, number, 4, torch.float32)
        expected, scalars = ones([batch], number), replayed([batch], number)
        assert scalars.keys() == expected.keys()
        assert all(torch.equal(scalars[key], value.to(scalars[key])) for key, value in expected.items()), number
    for (key, value), other in zip(ones.model.state_dict().items(), replayed.model.state_dict().values()):
        assert torch.equal(value, other), key
    assert any(not torch.equal(a, b) for a, b in zip(build_model(recipe).parameters(), ones.model.parameters()))


@pytest.mark.parametrize("name", ["dino", "ibot", "mocov3"])
def test_a_teacher_begins_as_the_student(name):
    model = build_model(tiny_recipe(name))
    student = model.student.state_dict()
    assert all(torch.equal(values, student[key]) for key, values in model.teacher.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())


@pytest.mark.parametrize("name", COMPARATORS)
def test_what_no_method_can_train_is_refused(name):
    with pytest.raises(UserError, match=r"views\.global_size 30 is no multiple of encoder\.patch_size 8"):
        parse(load_method(name).Recipe, settings(name) | {"views": {"global_size": 30}})


def test_a_method_is_one_file(images, tmp_path, monkeypatch, capsys):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "toy.py").write_text(TOY)
    monkeypatch.setattr(pretrain.methods, "__path__", [*pretrain.methods.__path__, str(tmp_path / "methods")])
    recipe, out = tmp_path / "recipe.py", tmp_path / "run"
    common = settings("dino", batch_size=4, epochs=1) | {
        "method": "toy",
        "toy": {"weight": 2.0},
        "views": {"global_size": 32},
    }
    recipe.write_text(dump_config({key: value for key, value in common.items() if key not in ("dino", "head")}))
    try:
        assert run(recipe, images, out) == 0
        assert load_encoder(out / "encoder.safetensors").method == "Toy"
        assert log(out)[-1]["step"] == 2
        assert run(recipe, images, tmp_path / "other", "--set", "toy.wieght=1") == 2
        assert "Did you mean 'weight'?" in capsys.readouterr().err
    finally:
        sys.modules.pop("pretrain.methods.toy", None)


def test_sections_of_another_method_are_refused(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'flsl'"):
        read_recipe(CONFIGS / "flsl_small_20e.py", ["method=fsl"])
    recipe = read_recipe(CONFIGS / "flsl_small_20e.py", ["method=dino", "training.epochs=2"])
    assert (recipe.name, recipe.method, recipe.training.epochs) == ("DINO", "dino", 2)
    assert recipe.encoder == read_recipe(CONFIGS / "flsl_small_20e.py").encoder
    (tmp_path / "mixed.py").write_text("method = 'dino'\nsampling = dict(mode='random')\n")
    with pytest.raises(UserError, match=r"sampling is not a known key.* It is a section of method .*'flsl'"):
        read_recipe(tmp_path / "mixed.py")


def test_bench_times_another_method(recipe_file, capsys):
    words = [
        "bench",
        recipe_file,
        "--set",
        "method=simclr",
        "--set",
        "views.global_size=48",
        "--batch",
        2,
        "--rounds",
        1,
    ]
    assert main([str(word) for word in (*words, "--part", "step", "--device", "cpu")]) == 0
    assert capsys.readouterr().out.startswith("SimCLR, batch 2, cpu")
    assert main([str(word) for word in (*words, "--part", "step", "--against", "plain")]) == 2
    assert "--against plain needs a recipe of FLSL" in capsys.readouterr().err
