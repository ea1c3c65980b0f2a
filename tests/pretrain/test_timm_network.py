"""Pretraining a network of timm's: what is shown and written is that network, not the plain ViT of the defaults."""

import json
from dataclasses import replace

import pytest
from support.pretrain_run import RECIPE, run

import pretrain.methods.flsl
from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_encoder
from flsl.description import describe
from flsl.runtime.errors import UserError
from pretrain.recipe import read_recipe

PLAIN = 'encoder = dict(architecture="custom", patch_size=8, image_size=48, embed_dim=32, depth=2, num_heads=2)'
ARGUMENTS = {"patch_size": 8, "img_size": 48, "embed_dim": 64, "depth": 2, "num_heads": 2}
NAME = "vit_small_patch16_dinov3"
BUILT = {
    "architecture": "custom", "patch_size": 8, "image_size": 48, "embed_dim": 64, "depth": 2, "num_heads": 2, "class_token": True,
    "register_tokens": 4, "position_embedding": "rope", "position_interpolation": "size", "norm_eps": 1e-5,
}  # fmt: skip


@pytest.fixture
def recipe(tmp_path):
    assert PLAIN in RECIPE
    path = tmp_path / "recipe.py"
    path.write_text(RECIPE.replace(PLAIN, f"encoder = dict(timm_model={NAME!r}, timm_arguments={ARGUMENTS})"))
    return path


def test_all_that_is_written_describes_the_network_that_was_built(recipe, images, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(recipe, images, out) == 0
    loaded = load_encoder(out / "encoder.safetensors")
    network, config = loaded.encoder.network, loaded.encoder.config.to_dict()
    assert {key: config[key] for key in BUILT} == BUILT
    assert (network.embed_dim, len(network.blocks), network.blocks[0].attn.num_heads) == (64, 2, 2)
    assert (network.num_prefix_tokens, network.blocks[0].norm1.eps) == (5, 1e-5)
    asked = loaded.pretraining["recipe"]["encoder"], json.loads((out / "run.json").read_text())["identity"]["encoder"]
    for written in (*asked, read_recipe(out / "config.py").encoder.to_dict()):
        assert {key: written[key] for key in BUILT} == BUILT
    said = describe(loaded)
    assert said["architecture"] == f"{NAME}/8: width 64, 2 blocks, 2 heads"
    assert said["blocks"].startswith(f"those of timm's {NAME} with patch_size 8, img_size 48")
    assert said["tokens"] == "class token, 4 registers, grid 6x6 of 8-pixel patches"
    assert said["positions"] == "rope, in timm's way"
    capsys.readouterr()
    assert run(out / "config.py", images, out) == 0  # what was written says the same again
    assert "already holds all 6 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["architecture=vit_small"], "encoder.embed_dim is 64 in timm's vit_small_patch16_dinov3, not 384"),
        (["embed_dim=96", "depth=3"], "encoder.depth is 2 in timm's vit_small_patch16_dinov3, not 3"),
        (["class_token=False"], "encoder.class_token is True in timm's"),
        (["position_embedding=sincos"], "encoder.position_embedding is 'rope' in timm's"),
        (["patch_size=16"], "encoder.patch_size is 8 in timm's"),
        (["mlp=swiglu"], "encoder.mlp 'swiglu' is that of a plain ViT"),
        (["layer_scale=True"], "encoder.layer_scale True is that of a plain ViT"),
        (["image_mean=(0.5, 0.5, 0.5)"], "image_mean and image_std cannot be changed"),
        (["timm_model=vit_smal_patch16_dinov3"], "Near names: vit_small_patch16_dinov3"),
        (["timm_arguments={'depht': 3}"], "cannot build"),
        (["timm_arguments=3"], "encoder.timm_arguments"),
        (["timm_arguments={3: 3}"], "encoder.timm_arguments"),
        (["embed_dms=64"], "Did you mean 'embed_dim'"),
    ],
)
def test_what_the_network_has_otherwise_or_not_at_all_is_refused(changes, says, recipe):
    with pytest.raises(UserError) as caught:
        read_recipe(recipe, [f"encoder.{change}" for change in changes])
    assert says in str(caught.value)


def test_what_agrees_may_be_said(recipe):
    same = [f"encoder.{key}={value}" for key, value in BUILT.items()]
    assert read_recipe(recipe, same) == read_recipe(recipe)


def test_a_recipe_in_python_is_completed_too(recipe):
    read = read_recipe(recipe)
    given = replace(read, encoder=EncoderConfig(timm_model=NAME, timm_arguments=ARGUMENTS, patch_size=8))
    assert isinstance(given, pretrain.methods.flsl.Recipe)
    assert read_recipe(given) == read == read_recipe(read)
    with pytest.raises(UserError, match=r"encoder\.register_tokens is 4 in timm's"):
        read_recipe(replace(read, encoder=replace(given.encoder, register_tokens=2)))


def test_images_are_normalized_as_pretraining_does_it_whatever_timm_did(recipe):
    read = read_recipe(
        recipe,
        [
            "encoder.timm_model=vit_small_patch16_224.augreg_in21k",
            "encoder.timm_arguments={}",
            "views.global_size=224",
            "views.local_size=96",
        ],
    )
    assert read.encoder.image_mean == EncoderConfig.image_mean
