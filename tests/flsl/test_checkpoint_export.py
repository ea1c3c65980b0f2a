"""Encoders written for timm, mmdetection, Hugging Face and torch give equal features there, and read back equal."""

import json

import pytest
import timm
import torch
from support.plain_vit import random_weights
from torch import nn

from flsl.checkpoint import fingerprint, load_encoder, save_encoder
from flsl.encoder import Encoder
from flsl.exports import TARGETS
from flsl.infer import infer_config
from flsl.runtime.errors import UserError
from flsl.source import Overrides

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
VARIANTS = {
    "class token": {},
    "no class token": {"class_token": False},
    "no norm": {"norm": False},
    "class token without position": {"position_rows": 0},
    "registers": {"registers": 4},
    "registers, LayerScale": {"registers": 4, "layer_scale": True},
    "registers with positions": {"registers": 4, "position_rows": 5},
    "LayerScale, SwiGLU": {"layer_scale": True, "swiglu": True},
    "LayerScale": {"layer_scale": True},
}


def loaded_variant(folder, positions="dino", **shape):
    """Return an encoder of that shape, loaded from our own file."""
    weights = random_weights(**shape)
    config = infer_config(weights, {"position_interpolation": positions}, "test")
    encoder = Encoder(config)
    encoder.load_state_dict(weights)
    return load_encoder(save_encoder(encoder, folder / "own.safetensors", method="test", name="tiny"))


@pytest.mark.parametrize("shape", VARIANTS.values(), ids=VARIANTS)
def test_timm_loads_strictly_with_equal_features(tmp_path, shape):
    loaded = loaded_variant(tmp_path, positions="size", **shape)
    TARGETS["timm"](loaded, tmp_path / "timm")
    network = timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True).eval()
    for images in (IMAGES, IMAGES[:, :, :24, :].repeat(1, 1, 1, 2)):
        theirs = network.forward_features(images)[:, network.num_prefix_tokens :]
        torch.testing.assert_close(loaded.encoder(images), theirs, atol=1e-6, rtol=0)
    # Proof that nothing was skipped: the file alone, strictly.
    state = timm.models.load_state_dict(str(tmp_path / "timm" / "model.safetensors"))
    network.load_state_dict(state, strict=True)
    if shape.get("norm", True):
        again = load_encoder(tmp_path / "timm")
        torch.testing.assert_close(again.encoder(IMAGES), loaded.encoder(IMAGES), atol=1e-6, rtol=0)


def test_timm_export_says_where_it_differs(tmp_path):
    loaded = loaded_variant(tmp_path, positions="dino")
    assert any("equal at 32 pixels" in note for note in TARGETS["timm"](loaded, tmp_path / "timm"))


def test_timm_export_keeps_unusual_heads(tmp_path):
    loaded = load_encoder(loaded_variant(tmp_path, width=128).source, overrides=Overrides(num_heads=8))
    TARGETS["timm"](loaded, tmp_path / "timm")
    assert load_encoder(tmp_path / "timm").encoder.num_heads == 8
    assert timm.create_model(f"local-dir:{tmp_path / 'timm'}").blocks[0].attn.num_heads == 8


@pytest.mark.parametrize("target", ["torch", "mmdet"])
@pytest.mark.parametrize("variant", ["no class token", "registers, LayerScale", "LayerScale, SwiGLU"])
def test_pickles_read_back_whole(tmp_path, target, variant):
    loaded = loaded_variant(tmp_path, **VARIANTS[variant])
    TARGETS[target](loaded, tmp_path / "encoder.pth")
    again = load_encoder(tmp_path / "encoder.pth")
    assert again.encoder.config == loaded.encoder.config
    assert fingerprint(again.encoder) == fingerprint(loaded.encoder)
    assert (again.name, again.method) == ("tiny", "test")


def test_torch_export_is_a_plain_state_dict(tmp_path):
    loaded = loaded_variant(tmp_path)
    TARGETS["torch"](loaded, tmp_path / "encoder.pth")
    state = torch.load(tmp_path / "encoder.pth", weights_only=True)["state_dict"]
    encoder = Encoder(loaded.encoder.config).eval()
    encoder.load_state_dict(state, strict=True)
    torch.testing.assert_close(encoder(IMAGES), loaded.encoder(IMAGES), atol=0, rtol=0)


def test_mmdet_export_fills_a_detector_backbone(tmp_path):
    runner = pytest.importorskip("mmengine.runner")
    loaded = loaded_variant(tmp_path)
    TARGETS["mmdet"](loaded, tmp_path / "encoder.pth")
    detector = nn.Module()
    detector.backbone = nn.Module()
    detector.backbone.encoder = Encoder(loaded.encoder.config)
    runner.load_checkpoint(detector, str(tmp_path / "encoder.pth"), map_location="cpu", strict=True)
    assert fingerprint(detector.backbone.encoder) == fingerprint(loaded.encoder)


@pytest.mark.parametrize("variant", ["class token", "LayerScale", "registers, LayerScale", "LayerScale, SwiGLU"])
def test_hugging_face_reads_back_equal(tmp_path, variant):
    shape = VARIANTS[variant]
    loaded = loaded_variant(tmp_path, positions="size" if shape.get("registers") else "size_plain", **shape)
    notes = TARGETS["hf"](loaded, tmp_path / "hf")
    assert len(notes) == 1  # how to load it, and nothing that differs
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["model_type"] == (
        "vit" if variant == "class token" else "dinov2_with_registers" if shape.get("registers") else "dinov2"
    )
    again = load_encoder(tmp_path / "hf")
    assert again.encoder.config == loaded.encoder.config
    assert fingerprint(again.encoder) == fingerprint(loaded.encoder)


@pytest.mark.parametrize("variant", ["class token", "LayerScale", "registers, LayerScale", "LayerScale, SwiGLU"])
def test_transformers_gives_equal_features(tmp_path, variant):
    transformers = pytest.importorskip("transformers", reason="transformers absent: the export is only read back")
    loaded = loaded_variant(tmp_path, positions="size_plain", **VARIANTS[variant])
    TARGETS["hf"](loaded, tmp_path / "hf")
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "hf")(pixel_values=IMAGES).last_hidden_state
    torch.testing.assert_close(theirs[:, -16:], loaded.encoder(IMAGES), atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", ["no class token", "no norm", "registers", "class token without position"])
def test_hugging_face_refuses_what_it_cannot_hold(tmp_path, variant):
    with pytest.raises(UserError, match="Hugging Face's ViT models need"):
        TARGETS["hf"](loaded_variant(tmp_path, **VARIANTS[variant]), tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
