"""Recipes: what they refuse, what they become, and that every published one can be built."""

from pathlib import Path

import pytest
import torch

from eval.coco.recipe import CocoRecipe
from eval.detector.recipe import TrainingSection, read_recipe
from eval.uavdt.recipe import UavdtRecipe
from flsl.runtime.errors import UserError
from flsl.runtime.precision import choose_dtype

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
RECIPES = sorted([*CONFIGS.glob("coco/*.py"), *CONFIGS.glob("uavdt/*.py")])
SMOKE = CONFIGS / "coco" / "mask-rcnn_smoke.py"


def kind(path):
    return CocoRecipe if path.parent.name == "coco" else UavdtRecipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_reads_and_names_one_protocol(path):
    recipe, resolved = read_recipe(path, cls=kind(path))
    assert recipe.protocol.startswith(path.parent.name)
    assert "modified" not in recipe.protocol
    assert resolved["training"]["weight_decay"] == recipe.training.weight_decay
    assert path.read_text().startswith("# ")
    assert "Expected:" in path.read_text() or "Expected on" in path.read_text()


def test_the_published_recipe_holds_the_protocols_constants():
    recipe, _ = read_recipe(CONFIGS / "coco" / "mask-rcnn_vit-s16_flsl_1x.py", cls=CocoRecipe)
    assert recipe.model.blocks == (3, 5, 7, 11)
    assert (recipe.model.fpn_channels, recipe.model.drop_path) == (256, 0.05)
    t = recipe.training
    assert (t.learning_rate, t.batch, t.weight_decay, t.epochs, t.milestones) == (1e-4, 16, 0.05, 12, (8, 11))
    assert (t.warmup_iterations, t.precision) == (1000, "fp16")
    assert (recipe.images.test_short_side, recipe.images.longest_side, recipe.images.flip) == (800, 1333, 0.5)
    assert (recipe.testing.score_threshold, recipe.testing.max_detections) == (0.05, 100)


def test_a_changed_constant_is_another_protocol():
    own, _ = read_recipe(SMOKE, cls=CocoRecipe)
    same, _ = read_recipe(SMOKE, ["runtime.workers=2", "training.batch=4"], cls=CocoRecipe)
    other, _ = read_recipe(SMOKE, ["training.batch=8"], cls=CocoRecipe)
    assert same.protocol == own.protocol == "coco/mask-rcnn_smoke@1"
    assert other.protocol == "coco/mask-rcnn_smoke-modified@1"


def test_attention_windows_are_named_in_the_protocol():
    window, whole = ["model.window=14"], ["model.window=14", "model.global_blocks=(1, 3)"]
    names = [
        read_recipe(SMOKE, sets, cls=CocoRecipe)[0].protocol for sets in (window, whole, [*whole, "training.batch=8"])
    ]
    assert names == [
        "coco/mask-rcnn_smoke-window14@1",
        "coco/mask-rcnn_smoke-window14-global1.3@1",
        "coco/mask-rcnn_smoke-modified-window14-global1.3@1",
    ]
    own, _ = read_recipe(CONFIGS / "coco" / "mask-rcnn_vit-s8_window_1x.py", cls=CocoRecipe)
    assert own.protocol == "coco/mask-rcnn_1x-window28-global2.5.8.11@1"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.batchsize=8", "training.batchsize is not a known key. Did you mean 'batch'"),
        ("trainin.batch=8", "Did you mean 'training'"),
        ("training.batch=many", "training.batch must be a whole number"),
        ("model.detector=yolo", "must be one of 'mask-rcnn' or 'faster-rcnn'"),
        ("model.blocks=(1, 2)", "model.blocks must"),
        ("training.milestones=(20,)", "milestones"),
        ("training.batch=0", "at least 1"),
    ],
)
def test_a_wrong_key_or_value_is_named(override, message):
    with pytest.raises(UserError) as error:
        read_recipe(SMOKE, [override], cls=CocoRecipe)
    assert message in str(error.value)


def test_precision_follows_the_device():
    cpu = torch.device("cpu")
    assert choose_dtype("fp32", cpu) == torch.float32
    assert choose_dtype("bf16", cpu) == torch.bfloat16
    assert choose_dtype("auto", cpu) in (torch.float32, torch.bfloat16)
    with pytest.raises(UserError, match="needs a CUDA device"):
        choose_dtype("fp16", cpu)


def test_steps_and_learning_rate_scale():
    from eval.detector.config import steps
    from eval.detector.optimizer import scaled_learning_rate

    published = TrainingSection()
    assert steps(published, 117266) == (87950, [58633, 80621])  # mmdet's 1x counts 7,330 an epoch, the last one short
    assert steps(TrainingSection(iterations=120), 10**6) == (120, [80, 110])
    assert scaled_learning_rate(TrainingSection(batch=8)) == pytest.approx(5e-5)
    assert scaled_learning_rate(TrainingSection(batch=8, auto_scale=False)) == pytest.approx(1e-4)
