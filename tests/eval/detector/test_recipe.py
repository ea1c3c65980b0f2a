"""Recipes: what they refuse, what they become, and that every published one can be built."""

from pathlib import Path

import pytest
import torch

from eval.coco.run import CocoRecipe
from eval.detector.recipe import TrainingSection
from eval.finetune.recipe import identity_of, read_recipe
from eval.uavdt.run import UavdtRecipe
from flsl.architecture import EncoderConfig
from flsl.runtime.errors import UserError
from flsl.runtime.precision import choose_dtype

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
RECIPES = sorted([*CONFIGS.glob("coco/*.py"), *CONFIGS.glob("uavdt/*.py")])
SMOKE = CONFIGS / "coco" / "mask-rcnn_smoke.py"


def kind(path):
    return CocoRecipe if path.parent.name == "coco" else UavdtRecipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_reads_and_names_one_protocol(path):
    recipe = read_recipe(path, cls=kind(path))
    assert recipe.protocol.startswith(path.parent.name)
    assert "modified" not in recipe.protocol
    assert identity_of(recipe)["training"]["weight_decay"] == recipe.training.weight_decay
    assert path.read_text().startswith("# ")
    assert "Expected:" in path.read_text() or "Expected on" in path.read_text()


def test_the_published_recipe_holds_the_protocols_constants():
    recipe = read_recipe(CONFIGS / "coco" / "mask-rcnn_vit-s16_flsl_1x.py", cls=CocoRecipe)
    assert recipe.model.blocks == (3, 5, 7, 11)
    assert (recipe.model.fpn_channels, recipe.model.drop_path) == (256, 0.05)
    t = recipe.training
    assert (t.learning_rate, t.batch, t.weight_decay, t.epochs, t.milestones) == (1e-4, 16, 0.05, 12, (8, 11))
    assert (t.warmup_iterations, t.precision) == (1000, "fp16")
    assert (recipe.images.test_short_side, recipe.images.longest_side, recipe.images.flip) == (800, 1333, 0.5)
    assert (recipe.testing.score_threshold, recipe.testing.max_detections) == (0.05, 100)


def test_a_changed_constant_is_another_protocol():
    own = read_recipe(SMOKE, cls=CocoRecipe)
    same = read_recipe(SMOKE, ["runtime.workers=2", "training.batch=4"], cls=CocoRecipe)
    other = read_recipe(SMOKE, ["training.batch=8"], cls=CocoRecipe)
    assert same.protocol == own.protocol == "coco/mask-rcnn_smoke@2"
    assert other.protocol == "coco/mask-rcnn_smoke-modified@2"


def test_attention_windows_are_named_in_the_protocol():
    window, whole = ["model.window=14"], ["model.window=14", "model.global_blocks=(1, 3)"]
    names = [
        read_recipe(SMOKE, sets, cls=CocoRecipe).protocol for sets in (window, whole, [*whole, "training.batch=8"])
    ]
    assert names == [
        "coco/mask-rcnn_smoke-window14@2",
        "coco/mask-rcnn_smoke-window14-global1.3@2",
        "coco/mask-rcnn_smoke-modified-window14-global1.3@2",
    ]
    own = read_recipe(CONFIGS / "coco" / "mask-rcnn_vit-s8_window_1x.py", cls=CocoRecipe)
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


@pytest.mark.parametrize(
    ("override", "range"),
    [
        ("model.drop_path=1.5", "below 1"),
        ("model.drop_path=-0.1", "at least 0"),
        ("model.frozen_blocks=-1", "at least 0"),
        ("model.window=0", "at least 2"),
        ("model.num_heads=0", "at least 1"),
        ("model.blocks=(3, 2, 5, 7)", "must rise"),
        ("model.blocks=(-1, 2, 5, 7)", "at least 0"),
        ("model.fpn_channels=0", "at least 1"),
        ("model.fpn_channels=10000000", "at most 65536"),
        ("model.mask_convs=-1", "at least 0"),
        ("model.fc_layers=1000000", "at most 100"),
        ("model.anchor_scale=0", "at least 1"),
        ("model.rpn_samples=0", "at least 1"),
        ("model.roi_positives=0", "above 0"),
        ("model.roi_positives=2", "at most 1"),
        ("model.train_proposals=(0, 10)", "at least 1"),
        ("model.ignore_overlap=0", "above 0"),
        ("model.global_blocks=(1, 2)", "need window"),
        ("images.flip=2", "at most 1"),
        ("images.flip=-0.5", "at least 0"),
        ("images.train_short_sides=()", "at least one size"),
        ("images.train_short_sides=(0,)", "at least 2"),
        ("images.train_short_sides=(100, 300)", "at most longest_side, 256"),
        ("images.test_short_side=0", "at least 2"),
        ("images.test_short_side=300", "at most longest_side, 256"),
        ("images.longest_side=100000", "at most 32767"),
        ("images.scale_jitter=(2.0, 0.1)", "smallest, largest"),
        ("images.scale_jitter=(0.0, 1.0)", "at least 0.01"),
        ("images.jitter_size=0", "at least 2"),
        ("training.batch=0", "at least 1"),
        ("training.batch=-4", "at least 1"),
        ("training.batch=2.5", "a whole number"),
        ("training.base_batch=0", "at least 1"),
        ("training.epochs=0", "above 0"),
        ("training.milestones=(0, 8)", "above 0"),
        ("training.milestones=(11, 8)", "must rise"),
        ("training.milestones=(8, 8)", "must rise"),
        ("training.iterations=0", "at least 1"),
        ("training.learning_rate=-1", "above 0"),
        ("training.learning_rate=1e999", "finite"),
        ("training.weight_decay=-0.1", "at least 0"),
        ("training.layer_decay=0", "above 0"),
        ("training.layer_decay=1.5", "at most 1"),
        ("training.warmup_iterations=-1", "at least 0"),
        ("training.warmup_factor=0", "above 0"),
        ("training.clip_norm=0", "above 0"),
        ("training.ema=2", "below 1"),
        ("training.ema=0", "above 0"),
        ("testing.score_threshold=1.5", "at most 1"),
        ("testing.nms_overlap=-1", "at least 0"),
        ("testing.max_detections=0", "at least 1"),
        ("testing.batch=0", "at least 1"),
        ("runtime.workers=-1", "at least 0"),
        ("runtime.checkpoint_every=0", "at least 1"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_range(override, range):
    key = override.partition("=")[0]
    with pytest.raises(UserError) as error:
        read_recipe(SMOKE, [override], cls=CocoRecipe)
    message = str(error.value)
    assert key in message or all(part in message for part in key.split("."))
    assert range in message


def test_values_that_contradict_each_other_are_named():
    for overrides, message in (
        (["model.head_norm=GN", "model.fpn_channels=24"], "fpn_channels must be a multiple of 16"),
        (["images.scale_jitter=(0.01, 1.0)", "images.jitter_size=50"], "less than 2 pixels"),
        (["training.epochs=5", "training.milestones=(8,)"], "within the 5 epochs"),
    ):
        with pytest.raises(UserError, match=message):
            read_recipe(SMOKE, overrides, cls=CocoRecipe)


@pytest.mark.parametrize("override", ["train_stride=0", "train_sequences=0", "train_sequences=-1"])
def test_frames_are_at_least_one(override):
    with pytest.raises(UserError, match=rf"frames\.{override.partition('=')[0]} must be at least 1"):
        read_recipe(CONFIGS / "uavdt" / "faster-rcnn_smoke.py", [f"frames.{override}"], cls=UavdtRecipe)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.frozen_blocks=99", r"model\.frozen_blocks must be at most 4, the blocks of vit_micro/16, but is 99"),
        ("model.blocks=(0, 1, 2, 7)", r"model\.blocks must lie within 0\.\.3, .* but is \[0, 1, 2, 7\]"),
        ("model.num_heads=5", r"model\.num_heads must divide 192, .* but is 5"),
    ],
)
def test_what_the_encoder_cannot_do_is_refused(override, message):
    from eval.finetune.config import check_encoder

    recipe = read_recipe(SMOKE, [override], cls=CocoRecipe)
    with pytest.raises(UserError, match=message):
        check_encoder(recipe.model, EncoderConfig("vit_micro"))


def test_what_changes_no_result_is_no_part_of_the_identity():
    own = read_recipe(SMOKE, cls=CocoRecipe)
    same = read_recipe(SMOKE, ["runtime.workers=2", "runtime.checkpoint_activations=True"], cls=CocoRecipe)
    other = read_recipe(SMOKE, ["data.val_images=elsewhere"], cls=CocoRecipe)
    assert identity_of(same) == identity_of(own) != identity_of(other)
    assert identity_of(own)["training"]["batch"] == 4


def test_precision_follows_the_device():
    cpu = torch.device("cpu")
    assert choose_dtype("fp32", cpu) == torch.float32
    assert choose_dtype("bf16", cpu) == torch.bfloat16
    assert choose_dtype("auto", cpu) in (torch.float32, torch.bfloat16)
    with pytest.raises(UserError, match="needs a CUDA device"):
        choose_dtype("fp16", cpu)


def test_steps_and_learning_rate_scale():
    def falls(training, images):
        total = training.steps(images)
        return total, training.schedule(total)[0]["milestones"]

    # mmdet's 1x counts 7,330 an epoch, the last one short
    assert falls(TrainingSection(), 117266) == (87950, [58633, 80621])
    assert falls(TrainingSection(iterations=120), 10**6) == (120, [80, 110])
    assert TrainingSection(batch=8).scaled_learning_rate == pytest.approx(5e-5)
    assert TrainingSection(batch=8, auto_scale=False).scaled_learning_rate == pytest.approx(1e-4)
