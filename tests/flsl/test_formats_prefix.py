"""A known layout is found below whatever prefix a training program put before its names, in Lightning's files too."""

import functools
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.layouts import dinov3, hugging_face_vit, layers, prefixed
from support.plain_vit import check, plain_features, random_weights

from flsl.checkpoint import load_encoder
from flsl.runtime.errors import UserError


class Settings:
    """Some class of a training program, as Lightning pickles hyper-parameters."""

    def __init__(self, **values):
        vars(self).update(values)


class Mapping(dict):
    """Likewise, with items."""


def lightning(state, **more):
    """Return what Lightning's ModelCheckpoint writes."""
    frame = {"epoch": 4, "global_step": 77, "pytorch-lightning_version": "2.5.0", "loops": {}, "callbacks": {}}
    optimizer = [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}]
    return frame | {"state_dict": OrderedDict(state), "optimizer_states": optimizer} | more


@pytest.mark.parametrize(
    ("prefix", "wrap"),
    [
        ("model.", "plain"),
        ("net.encoder.", "state_dict"),
        ("_orig_mod.", "safetensors"),
        ("module.student.backbone.trunk.", "plain"),
        ("état.編碼器.", "state_dict"),
    ],
)
def test_prefixes_are_recognized(tmp_path, prefix, wrap):
    weights = random_weights(class_token=False)
    state = prefixed(weights, prefix) | layers("projector.0", "net.decoder")
    if wrap == "safetensors":
        save_file(state, tmp_path / "my_run.safetensors")
    else:
        torch.save({"state_dict": state, "epoch": 3} if wrap == "state_dict" else state, tmp_path / "my_run.pth")
    file = next(tmp_path.iterdir())
    loaded = check(file, weights, heads=1, positions="size", position_rows=0)
    assert loaded.name == "my_run"
    where = "state_dict." if wrap == "state_dict" else ""
    assert loaded.pretraining["prefix"] == f"{where}{prefix}".rstrip(".")
    assert set(loaded.dropped) == {f"{where}projector.0.weight", f"{where}net.decoder.weight"}


def test_other_layouts_are_known_below_a_prefix(tmp_path):
    vit, three = random_weights(), random_weights(width=128, registers=4, layer_scale=True, rope=True)
    torch.save(prefixed(hugging_face_vit(vit), "wrapped.vit."), tmp_path / "hf.pth")
    assert check(tmp_path / "hf.pth", vit, heads=1, positions="size_plain", eps=1e-12).format == "Hugging Face ViT"
    torch.save({"ema": prefixed(dinov3(three, "meta", False), "teacher_net.")}, tmp_path / "three.pth")
    assert load_encoder(tmp_path / "three.pth").format == "DINOv3 backbone"


def test_several_networks_must_be_chosen_from(tmp_path):
    student, teacher = (random_weights(seed=seed) for seed in (0, 1))
    state = prefixed(student, "student.backbone.") | prefixed(teacher, "teacher.backbone.")
    torch.save(lightning(state), tmp_path / "both.ckpt")
    with pytest.raises(UserError) as error:
        load_encoder(tmp_path / "both.ckpt")
    assert "below state_dict.student.backbone, state_dict.teacher.backbone. Choose one with --prefix" in str(
        error.value
    )
    images = torch.randn(1, 3, 32, 32)
    for given, weights in (("student.backbone", student), ("state_dict.teacher.backbone.", teacher)):
        loaded = load_encoder(f"{tmp_path / 'both.ckpt'}?prefix={given}")
        expected = plain_features(weights, images, 1, positions="size")
        torch.testing.assert_close(loaded.encoder.feature_maps(images)[0], expected, atol=1e-5, rtol=0)
        assert loaded.pretraining["epoch"] == 4
    with pytest.raises(UserError, match="has no ViT there; there are ViTs below"):
        load_encoder(f"{tmp_path / 'both.ckpt'}?prefix=predictor")
    with pytest.raises(UserError, match="Choose one with --prefix"):
        load_encoder(f"{tmp_path / 'both.ckpt'}?prefix=backbone")  # the end of both


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": 0.1, "size": "small"},
        Settings(rate=0.1, inner=Settings()),
        {
            "optimizer": torch.optim.AdamW,
            "factory": functools.partial(torch.optim.SGD, lr=1),
            "map": Mapping(a=1),
            "grid": np.ones((2, 2), np.int8),
            "mean": np.float32(0.5),
        },
    ],
    ids=["plain", "object", "classes"],
)
def test_lightning_reads_whatever_its_hyper_parameters_are(tmp_path, settings):
    weights = random_weights()
    state = prefixed(weights, "encoder.") | layers("head")
    torch.save(lightning(state, hyper_parameters=settings), tmp_path / "epoch=4-step=77.ckpt")
    loaded = check(tmp_path / "epoch=4-step=77.ckpt", weights, heads=1, positions="size")
    assert (loaded.name, loaded.pretraining["prefix"]) == ("epoch=4-step=77", "state_dict.encoder")


class Runs:
    """A pickle that runs something where it is read carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_lightning_runs_nothing(tmp_path):
    state = prefixed(random_weights(), "encoder.")
    torch.save(lightning(state, hyper_parameters={"a": Runs(tmp_path / "ran")}), tmp_path / "bad.ckpt")
    load_encoder(tmp_path / "bad.ckpt")
    torch.save({"state_dict": state, "hyper_parameters": Settings()}, tmp_path / "other.pth")  # not Lightning's
    with pytest.raises(UserError, match=r"nothing in it was executed: it holds the Python object .*Settings"):
        load_encoder(tmp_path / "other.pth")
    assert not (tmp_path / "ran").exists()


def test_hostile_names(tmp_path):
    long = "x" * 100_000 + "."
    torch.save(
        prefixed(random_weights(), long) | prefixed(random_weights(seed=1), f"y\x1b[31m.{long}"), tmp_path / "a.pth"
    )
    with pytest.raises(UserError, match="Choose one") as error:
        load_encoder(tmp_path / "a.pth")
    assert len(str(error.value)) < 1000
    layer = torch.zeros(1, 1, 1, 1)
    torch.save({f"net{i}.patch_embed.proj.weight": layer for i in range(5000)}, tmp_path / "many.pth")
    with pytest.raises(UserError, match="holds 5000 networks"):
        load_encoder(tmp_path / "many.pth")
    nested = state = {}
    for _ in range(400):
        nested["a"] = nested = {}
    nested |= random_weights()
    torch.save(state, tmp_path / "deep.pth")
    assert load_encoder(tmp_path / "deep.pth").encoder.depth == 2
