"""MoCo v3, MAE, timm, DINOv2 and Hugging Face files, laid out as those projects write them."""

import json

import pytest
import torch
from safetensors.torch import save_file
from support.layouts import ARGUMENTS, dinov3, hugging_face_dinov2, hugging_face_vit, layers, prefixed, renamed
from support.plain_vit import check, random_weights

from flsl.checkpoint import fingerprint, load_encoder, save_encoder
from flsl.infer import rotary_config
from flsl.position import sincos_table
from flsl.runtime.errors import UserError
from flsl.timm_network import create_network

DINOV2 = {0: "DINOv2", 4: "DINOv2 with registers"}  # by the number of registers


def with_sines(weights, rows_first=False):
    """Put the fixed table with a zero row for the class token into the weights; MoCo's halves change places."""
    table = sincos_table(weights["pos_embed"].shape[2], 4, 1).float()
    half = table.shape[2] // 2
    return weights | {"pos_embed": torch.cat([table[..., half:], table[..., :half]], -1) if rows_first else table}


@pytest.mark.parametrize("branch", ["base_encoder", "momentum_encoder"])
def test_moco_v3(tmp_path, branch):
    sides = {
        name: with_sines(random_weights(seed=seed), True)
        for seed, name in enumerate(("base_encoder", "momentum_encoder"))
    }
    state = layers("module.predictor.0")
    for name, weights in sides.items():
        state |= prefixed(weights | layers("head.0", "head.3"), f"module.{name}.")
    torch.save(
        {"epoch": 300, "arch": "vit_small", "state_dict": state, "optimizer": {}, "scaler": {}}, tmp_path / "m.pth.tar"
    )
    loaded = check(f"{tmp_path / 'm.pth.tar'}?branch={branch}", sides[branch], heads=1, positions="size")
    assert (loaded.method, loaded.pretraining["epoch"], loaded.pretraining["branch"]) == ("MoCo-v3", 300, branch)
    assert "predictor.0.weight" in loaded.dropped
    assert loaded.encoder.config.position_embedding == "fixed"
    assert not loaded.encoder.pos_embed.requires_grad


@pytest.mark.parametrize("damage", [None, torch.tensor(1.0)])
def test_a_damaged_moco_v3_is_explained(tmp_path, damage):
    sides = prefixed(random_weights(), "module.base_encoder.") | prefixed(random_weights(), "module.momentum_encoder.")
    del sides[key := "module.base_encoder.patch_embed.proj.weight"]
    torch.save({"state_dict": sides if damage is None else sides | {key: damage}}, tmp_path / "damaged.pth")
    with pytest.raises(UserError, match=r"damaged\.pth"):
        load_encoder(tmp_path / "damaged.pth")


def test_moco_v3_small_has_twelve_heads(tmp_path):
    weights = with_sines(random_weights(width=384, depth=1), True)
    torch.save({"arch": "vit_small", "state_dict": prefixed(weights, "module.base_encoder.")}, tmp_path / "moco.pth")
    check(tmp_path / "moco.pth", weights, heads=12, positions="size")


@pytest.mark.parametrize("decoder", [True, False])
def test_mae(tmp_path, decoder):
    weights = with_sines(random_weights())
    extra = layers("decoder_embed", "decoder_blocks.0.attn.qkv", "decoder_norm", "decoder_pred") if decoder else {}
    extra |= {"mask_token": torch.zeros(1, 1, 3), "decoder_pos_embed": torch.zeros(1, 17, 3)} if decoder else {}
    torch.save({"model": weights | extra, "epoch": 799, "args": ARGUMENTS}, tmp_path / "mae.pth")
    loaded = check(tmp_path / "mae.pth", weights, heads=1, positions="size_plain")
    assert loaded.method == "MAE"
    assert ("decoder_pred.weight" in loaded.dropped) == decoder
    assert loaded.encoder.config.position_embedding == "sincos"


@pytest.mark.parametrize("wrap", [None, "model", "state_dict"])
def test_timm_classifier(tmp_path, wrap):
    weights = random_weights()
    state = weights | layers("head", "fc_norm")
    torch.save({wrap: state, "epoch": 3} if wrap else state, tmp_path / "timm.pth")
    loaded = check(tmp_path / "timm.pth", weights, heads=1, positions="size")
    assert (loaded.format, sorted(loaded.dropped)) == ("timm", ["fc_norm.weight", "head.weight"])


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        ({}, 1),
        ({"class_token": False}, 0),
        ({"position_rows": 0}, 0),
        ({"registers": 4, "layer_scale": True, "position_rows": 0}, 0),
        ({"registers": 4, "position_rows": 5}, 5),
        ({"norm": False}, 1),
    ],
    ids=["class token", "none", "class token without position", "registers, LayerScale", "registers with positions", "no norm"],
)  # fmt: skip
def test_timm_safetensors(tmp_path, shape, rows):
    weights = random_weights(**shape)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = check(tmp_path / "model.safetensors", weights, heads=1, positions="size", position_rows=rows)
    assert loaded.encoder.config.register_tokens == shape.get("registers", 0)


def test_sharded_safetensors_folder(tmp_path):
    weights = random_weights()
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, keys in shards.items():
        save_file({key: weights[key] for key in keys}, tmp_path / shard)
    index = {
        "metadata": {"total_size": 1},
        "weight_map": {key: shard for shard, keys in shards.items() for key in keys},
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    pretrained = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": pretrained}))
    loaded = check(tmp_path, weights, heads=1, positions="size")
    assert loaded.encoder.config.image_std == (0.5, 0.5, 0.5)
    assert "not ImageNet's" in loaded.warnings[0]
    one = load_encoder(tmp_path / "model.safetensors.index.json")
    assert one.file_sha256 == loaded.file_sha256


def test_deit_distilled(tmp_path):
    weights = random_weights(registers=1, position_rows=2)
    torch.save(
        {"model": renamed(weights, {"reg_token": "dist_token"}) | layers("head", "head_dist")}, tmp_path / "d.pth"
    )
    check(tmp_path / "d.pth", weights, heads=1, positions="size", position_rows=2)


@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("layout", ["flat", "training"])
def test_dinov2(tmp_path, registers, layout):
    weights = random_weights(layer_scale=True, registers=registers)
    state = renamed(weights, {"reg_token": "register_tokens"}) | {"mask_token": torch.zeros(1, 64)}
    if layout == "training":
        state = renamed(state, {"blocks.1.": "blocks.0.1.", "blocks.0.": "blocks.0."})
        state = renamed(state, {"blocks.0.norm": "blocks.0.0.norm", "blocks.0.attn": "blocks.0.0.attn"})
        state = renamed(state, {"blocks.0.mlp": "blocks.0.0.mlp", "blocks.0.ls": "blocks.0.0.ls"})
        state = {"teacher": prefixed(state, "backbone.") | layers("dino_head.last_layer")}
    torch.save(state, tmp_path / "dinov2.pth")
    loaded = check(tmp_path / "dinov2.pth", weights, heads=1, positions="size" if registers else "dino")
    assert (loaded.method, loaded.encoder.config.register_tokens) == (DINOV2[registers], registers)
    assert "mask_token" in loaded.dropped


def test_dinov2_giant_mlp(tmp_path):
    weights = random_weights(layer_scale=True, swiglu=True)
    state = renamed(weights, {".mlp.fc1.": ".mlp.w12.", ".mlp.fc2.": ".mlp.w3."}) | {"mask_token": torch.zeros(1, 64)}
    torch.save(state, tmp_path / "giant.pth")
    check(tmp_path / "giant.pth", weights, heads=1, swiglu=True)


@pytest.mark.parametrize("prefix", ["", "vit."])
def test_hugging_face_vit(tmp_path, prefix):
    weights = random_weights(width=48)
    state = prefixed(hugging_face_vit(weights), prefix) | layers("pooler.dense" if not prefix else "classifier")
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 3, "layer_norm_eps": 1e-12}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    loaded = check(tmp_path / "model.safetensors", weights, heads=3, positions="size_plain", eps=1e-12)
    assert loaded.encoder.config.image_mean == (0.5, 0.5, 0.5)
    assert len(loaded.dropped) == 1


def test_hugging_face_vit_without_its_config_has_the_librarys_epsilon(tmp_path):
    weights = random_weights()
    save_file(hugging_face_vit(weights), tmp_path / "model.safetensors")
    check(tmp_path / "model.safetensors", weights, heads=1, positions="size_plain", eps=1e-12)


def test_hugging_face_activation_is_not_ignored(tmp_path):
    save_file(hugging_face_vit(random_weights()), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 1, "hidden_act": "quick_gelu"}))
    with pytest.raises(UserError, match="quick_gelu"):
        load_encoder(tmp_path)


def test_timm_network_that_computes_something_else_is_refused(tmp_path):
    save_file(random_weights(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_base_patch16_clip_224"}))
    with pytest.raises(UserError, match="Use timm:vit_base_patch16_clip_224"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("classifies", [False, True])
@pytest.mark.parametrize("registers", [0, 4])
def test_hugging_face_dinov2(tmp_path, registers, classifies):
    weights = random_weights(layer_scale=True, registers=registers)
    state = hugging_face_dinov2(weights) | {"embeddings.mask_token": torch.zeros(1, 64)}
    if classifies:
        state = prefixed(state, "dinov2_with_registers." if registers else "dinov2.") | layers("classifier")
    save_file(state, tmp_path / "m.safetensors")
    positions = "size" if registers else "size_plain"
    loaded = check(tmp_path / "m.safetensors", weights, heads=1, positions=positions)
    assert loaded.method == DINOV2[registers]
    assert sorted(loaded.dropped) == (["classifier.weight"] if classifies else []) + ["embeddings.mask_token"]


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("layout", ["meta", "timm", "hugging face"])
def test_dinov3(tmp_path, layout, gated):
    """Rotary positions, registers, LayerScale, no table; by timm's network."""
    weights = random_weights(width=128, registers=4, layer_scale=True, rope=True, swiglu=gated)
    save_file(dinov3(weights, layout, gated), tmp_path / "model.safetensors")
    loaded = check(tmp_path / "model.safetensors", weights, heads=2, eps=1e-5, swiglu=gated)
    assert loaded.method == "DINOv3"
    maps = loaded.encoder.feature_maps(torch.zeros(1, 3, 16, 24), blocks=[0, 1], norm=False)
    assert [tuple(m.shape) for m in maps] == [(1, 128, 2, 3)] * 2
    again = save_encoder(loaded.encoder, tmp_path / "ours.safetensors", method="DINOv3", name="tiny")
    assert fingerprint(load_encoder(again).encoder) == fingerprint(loaded.encoder)
    # Its epsilon follows from the network's name: no reason for another fingerprint.
    assert loaded.encoder.config.beyond_weights() == {"position_interpolation": "size"}


@pytest.mark.parametrize("layout", ["meta", "hugging face"])
@pytest.mark.parametrize("damage", [None, torch.tensor(1.0), torch.ones(3, 5), torch.ones(0, 3, 4, 4)])
@pytest.mark.parametrize(
    "names", [("patch_embed",), ("storage", "register"), ("fc1.weight", "up_proj.weight"), ("qkv.bias", "q_proj.bias")]
)
def test_a_damaged_dinov3_is_explained(tmp_path, layout, damage, names):
    weights = random_weights(width=128, registers=4, layer_scale=True, rope=True)
    state = dinov3(weights, layout, False)
    del state[key := next(key for key in state if any(name in key for name in names))]
    torch.save(state if damage is None else state | {key: damage}, tmp_path / "damaged.pth")
    with pytest.raises(UserError, match=r"damaged\.pth"):
        load_encoder(tmp_path / "damaged.pth")


@pytest.mark.parametrize(
    "name", ["vit_small_patch16_dinov3", "vit_small_plus_patch16_dinov3", "vit_base_patch16_dinov3"]
)
def test_a_dinov3_of_a_published_size_is_called_by_it(name):
    with torch.device("meta"):
        state = create_network(name).state_dict()
    assert rotary_config(state, "it").name == f"{name}/16"
