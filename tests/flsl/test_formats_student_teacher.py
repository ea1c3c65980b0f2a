"""DINO, FLSL, iBOT and SelfPatch files, laid out as those projects write them, give the features of a plain ViT."""

import pytest
import torch
from support.layouts import layers, prefixed, renamed, training_checkpoint
from support.plain_vit import check, plain_features, random_weights
from support.reference import read_case, reference_files

from flsl.checkpoint import load_encoder
from flsl.position import sincos_table
from flsl.runtime.errors import UserError


@pytest.mark.parametrize("branch", ["teacher", "student"])
def test_dino_training_checkpoint(tmp_path, branch):
    student, teacher = (random_weights(seed=seed) for seed in (0, 1))
    heads = layers("head.mlp.0", "head.mlp.2", "head.last_layer")
    torch.save(
        training_checkpoint(
            prefixed(prefixed(student, "backbone.") | heads, "module."),
            prefixed(teacher, "backbone.") | heads,
            dino_loss={"center": torch.zeros(1, 3)},
        ),
        tmp_path / "weights.bin",
    )
    path = tmp_path / "weights.bin"
    loaded = check(f"{path}?branch={branch}", teacher if branch == "teacher" else student, heads=1)
    assert (loaded.format, loaded.method) == ("DINO training checkpoint", "DINO")
    assert f"{branch}.head.last_layer.weight" in loaded.dropped
    assert loaded.pretraining["epoch"] == 7
    assert loaded.encoder.config.position_embedding == "learned"


def test_dino_backbone(tmp_path):
    weights = random_weights(width=128)
    torch.save(weights, tmp_path / "dino.pth")
    assert check(tmp_path / "dino.pth", weights, heads=2).format == "DINO backbone"


@pytest.mark.parametrize("table", ["sincos", "learned"])
def test_flsl_authors(tmp_path, table):
    weights = random_weights(class_token=False)
    if table == "sincos":
        weights["pos_embed"] = sincos_table(64, 4).float()
    stored = prefixed(weights | {"cls_token": torch.randn(1, 1, 64)}, "backbone.") | layers("head.last_layer")
    torch.save(training_checkpoint(prefixed(stored, "module."), stored), tmp_path / "checkpoint.pth")
    loaded = check(tmp_path / "checkpoint.pth", weights, heads=1)
    assert (loaded.method, loaded.encoder.config.class_token) == ("FLSL", False)
    assert loaded.encoder.config.position_embedding == table
    assert loaded.encoder.pos_embed.requires_grad == (table == "learned")
    assert "cls_token" in loaded.dropped


def test_flsl_backbone_alone(tmp_path):
    weights = random_weights(class_token=False) | {"pos_embed": sincos_table(64, 4).float()}
    torch.save(weights | {"cls_token": torch.randn(1, 1, 64)}, tmp_path / "flsl.pth")
    assert check(tmp_path / "flsl.pth", weights, heads=1).method == "FLSL"


@pytest.mark.parametrize("frame", ["", "model."], ids=["DINO's", "another program's"])
@pytest.mark.parametrize("class_token", [True, False], ids=["DINO", "FLSL"])
@pytest.mark.parametrize("lost", ["patch_embed.proj.weight", "blocks.0.attn.qkv.weight"])
def test_a_student_is_not_taken_for_a_teacher_that_lacks_a_layer(lost, class_token, frame, tmp_path):
    weights = random_weights(class_token=class_token)
    student = prefixed(weights, f"{frame}backbone.")
    teacher = {key: value for key, value in student.items() if not key.endswith(lost)}
    path = tmp_path / "checkpoint.pth"
    torch.save(training_checkpoint(prefixed(student, "module."), teacher), path)
    with pytest.raises(
        UserError, match=f"its teacher.* lacks teacher.{frame}backbone.{lost}.*take its student with --"
    ) as error:
        load_encoder(path)
    option, value = str(error.value).rstrip(".").split("--")[1].split()
    assert load_encoder(f"{path}?{option}={value}").encoder.depth > 0


def test_missing_branch_is_named(tmp_path):
    torch.save({"teacher": prefixed(random_weights(), "backbone.")}, tmp_path / "teacher.pth")
    with pytest.raises(UserError, match="no branch 'student'; it has teacher"):
        load_encoder(f"{tmp_path / 'teacher.pth'}?branch=student")


@pytest.mark.parametrize("path", reference_files("davis/clip*/checkpoint_*.npz"))
def test_reference_checkpoints(tmp_path, path):
    """The published layouts of the reference clips; the masks that they must give are tested with DAVIS."""
    arrays, config = read_case(path)
    teacher = {key.removeprefix("teacher/"): torch.from_numpy(value) for key, value in arrays.items()}
    torch.save({"teacher": teacher}, tmp_path / "checkpoint.pth")
    loaded = load_encoder(tmp_path / "checkpoint.pth")
    weights = {key.removeprefix("backbone."): value.float() for key, value in teacher.items()}
    if not config["class_token"]:
        weights.pop("cls_token")
    assert loaded.encoder.config.architecture == config["arch"]
    assert loaded.encoder.num_heads == config["num_heads"]
    images = torch.randn(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    (got,) = loaded.encoder.feature_maps(images)
    expected = plain_features({k: v.double() for k, v in weights.items()}, images.double(), config["num_heads"])
    torch.testing.assert_close(got.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shared_head", [True, False])
def test_ibot_training_checkpoint(tmp_path, shared_head):
    teacher = random_weights()
    heads = layers("head.mlp.0", "head.last_layer") | ({} if shared_head else layers("head.last_layer2"))
    student = prefixed(random_weights(seed=1) | {"masked_embed": torch.zeros(1, 64)}, "backbone.") | heads
    torch.save(
        training_checkpoint(
            prefixed(student, "module."),
            prefixed(teacher, "backbone.") | heads,
            ibot_loss={"center": torch.zeros(1, 3)},
        ),
        tmp_path / "checkpoint.pth",
    )
    loaded = check(tmp_path / "checkpoint.pth", teacher, heads=1)
    assert (loaded.method, loaded.format) == ("iBOT", "iBOT training checkpoint")
    assert "student.backbone.masked_embed" in loaded.dropped


def test_ibot_backbone_without_a_mask_embedding(tmp_path):
    torch.save({"state_dict": (weights := random_weights())}, tmp_path / "ibot.pth")
    assert check(tmp_path / "ibot.pth", weights, heads=1).method == "iBOT"


def test_ibot_backbone_with_layer_scale(tmp_path):
    weights = random_weights(layer_scale=True)
    names = {".ls1.gamma": ".gamma_1", ".ls2.gamma": ".gamma_2"}
    torch.save({"state_dict": renamed(weights, names) | {"masked_embed": torch.zeros(1, 64)}}, tmp_path / "ibot.pth")
    loaded = check(tmp_path / "ibot.pth", weights, heads=1)
    assert (loaded.method, loaded.dropped) == ("iBOT", ["masked_embed"])


def test_selfpatch_training_checkpoint(tmp_path):
    """No class token, no final norm in the encoder: both live in its heads."""
    weights = random_weights(class_token=False, norm=False)
    heads = {"ca_head.cls_token": torch.zeros(1, 1, 64)} | layers("ca_head.norm", "c_head.mlp.0", "p_head.last_layer")
    side = prefixed(weights, "backbone.") | heads
    torch.save(training_checkpoint(prefixed(side, "module."), side, dino_loss={}), tmp_path / "checkpoint.pth")
    loaded = check(tmp_path / "checkpoint.pth", weights, heads=1)
    assert (loaded.method, loaded.encoder.config.final_norm) == ("SelfPatch", False)
    assert "teacher.ca_head.cls_token" in loaded.dropped


def test_selfpatch_backbone(tmp_path):
    weights = random_weights(class_token=False, norm=False)
    torch.save(weights, tmp_path / "selfpatch.pth")
    assert check(tmp_path / "selfpatch.pth", weights, heads=1).method == "SelfPatch"
