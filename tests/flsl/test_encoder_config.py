"""What cannot be an encoder is refused where its description is read, with the key, the value and what it must be."""

import pytest

from flsl.architecture import EncoderConfig
from flsl.runtime.errors import UserError
from flsl.runtime.schema import parse

CUSTOM = {"architecture": "custom", "embed_dim": 32, "depth": 2, "num_heads": 2, "patch_size": 4, "image_size": 16}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"architecture": "vit_smal"}, r"unknown architecture 'vit_smal'\. Did you mean 'vit_small'\?"),
        ({"architecture": "custom", "embed_dim": 32}, "'custom' needs depth, num_heads"),
        ({"num_heads": 12}, "num_heads of vit_small is 6, not 12; use architecture 'custom'"),
        ({"patch_siz": 8}, "Did you mean 'patch_size'"),
        ({"patch_size": 0}, "encoder.patch_size must be at least 1, but is 0"),
        ({"patch_size": 16.5}, "encoder.patch_size must be a whole number"),
        ({"patch_size": 17}, "image_size 224 is no multiple of patch_size 17"),
        ({"image_size": -224}, "encoder.image_size must be at least 1"),
        ({"norm_eps": 0.0}, "encoder.norm_eps must be above 0, but is 0"),
        ({"image_std": [0.2, 0.0, 0.2]}, r"encoder.image_std\[1\] must be above 0"),
        ({"image_std": [0.2, 0.2]}, "encoder.image_std"),
        ({"image_mean": [0.5, 0.5, float("nan")]}, r"encoder.*(finite|JSON)"),
        ({"register_tokens": -1}, "encoder.register_tokens must be at least 0"),
        ({"mlp": "relu"}, "encoder.mlp must be one of 'gelu' or 'swiglu', but is 'relu'"),
        ({"mlp_ratio": 0}, "encoder.mlp_ratio must be above 0"),
        (CUSTOM | {"depth": -1}, "encoder.depth must be at least 1"),
        (CUSTOM | {"depth": 0}, "encoder.depth must be at least 1, but is 0"),
        (CUSTOM | {"num_heads": 3}, "embed_dim 32 is no multiple of num_heads 3"),
        (CUSTOM | {"embed_dim": 34}, "an embed_dim that 4 divides, not 34"),
        (CUSTOM | {"mlp_ratio": 0.01}, "mlp_ratio 0.01 leaves the MLP 0 wide; it needs a value"),
        (CUSTOM | {"mlp": "swiglu", "mlp_ratio": 3.04}, "leaves the MLP 97 wide; it needs an even number"),
        ({"position_embedding": "rope"}, "it needs a timm_model"),
        ({"class_token": True, "position_prefix": 2}, "position_prefix 2 is more than the 1 class and register tokens"),
    ],
)
def test_what_cannot_work_is_refused(section, message):
    with pytest.raises(UserError, match=message):
        parse(EncoderConfig, section, "encoder")


def test_every_wrong_key_is_told_at_once():
    with pytest.raises(UserError) as error:
        parse(EncoderConfig, {"patch_size": 0, "norm_eps": -1.0, "mlp": "relu"}, "encoder")
    assert all(f"encoder.{key}" in str(error.value) for key in ("patch_size", "norm_eps", "mlp"))


def test_a_description_survives_as_plain_values():
    for config in (EncoderConfig(), EncoderConfig("vit_base", patch_size=8), EncoderConfig(**CUSTOM)):
        assert parse(EncoderConfig, config.to_dict()) == config
    assert EncoderConfig().to_dict()["num_heads"] == 6
    assert (EncoderConfig().name, EncoderConfig(**CUSTOM).name) == ("vit_small/16", "vit_32x2h2/4")
