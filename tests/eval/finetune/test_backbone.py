"""The detection backbone: equal to the published one, and its encoder equal to the checkpoint."""

import copy
import math

import numpy as np
import pytest
import torch
from support.packages import need
from support.reference import read_case, reference_files

need("mmengine", "mmcv", "mmdet", "pycocotools")

from eval.detector import components  # noqa: E402, F401  (mmcv's operators, before mmdet)
from eval.finetune.backbone import EncoderBackbone  # noqa: E402
from eval.finetune.pyramid import default_blocks  # noqa: E402
from flsl.architecture import EncoderConfig  # noqa: E402
from flsl.checkpoint import fingerprint, load_encoder, save_encoder  # noqa: E402
from flsl.encoder import Encoder  # noqa: E402
from flsl.runtime.errors import UserError  # noqa: E402
from flsl.timm_network import create_network, describe_network  # noqa: E402

TINY = {"architecture": "custom", "embed_dim": 24, "depth": 4, "num_heads": 2, "image_size": 112}


def tiny(patch_size=16, seed=0, **fields):
    torch.manual_seed(seed)
    arguments = {key: fields.pop(key) for key in ("class_token", "register_tokens") if key in fields}
    return EncoderBackbone({**TINY, "patch_size": patch_size, **arguments}, **fields).eval()


@pytest.mark.parametrize("path", reference_files("detector/*.npz"))
def test_reference_maps_equal_the_published_backbone(path):
    arrays, config = read_case(path)
    for case in config["cases"]:
        check_maps(arrays, config, case["prefix"], case["patch_size"])


def check_maps(stored, config, case, patch_size):
    rows = stored[f"{case}/state/pos_embed"].shape[1] - config.get("class_token", False)
    encoder = {
        key: config[key] for key in ("embed_dim", "depth", "num_heads", "mlp_ratio", "class_token") if key in config
    }
    encoder |= {"architecture": "custom", "patch_size": patch_size, "image_size": math.isqrt(rows) * patch_size}
    encoder |= {"position_embedding": "learned", "norm_eps": config.get("layernorm_eps", 1e-6)}
    model = EncoderBackbone(encoder, blocks=config["out_indices"]).eval()
    prefix = f"{case}/state/"
    state = {
        ("pyramid." if key.startswith(f"{prefix}fpn") else "encoder.") + key.removeprefix(prefix): torch.tensor(
            stored[key]
        )
        for key in stored
        if key.startswith(prefix)
    }
    # The published backbone ends without a norm, so ours is the only thing that may be missing.
    assert model.load_state_dict(state, strict=False) == (["encoder.norm.weight", "encoder.norm.bias"], [])
    images = torch.tensor(stored[f"{case}/input"])
    with torch.no_grad():
        if model.pyramid.pad(images).shape == images.shape:
            maps = model(images)
        else:  # the published backbone pads nothing: its pipeline did before
            taps = model.encoder.feature_maps(images, config["out_indices"], norm=False)
            maps = model.pyramid(taps, images.shape[-2:])
    for index, found in enumerate(maps):
        np.testing.assert_allclose(found.numpy(), stored[f"{case}/expect/{index}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("patch_size", [8, 14, 16])
@pytest.mark.parametrize("size", [(64, 96), (50, 75)])
def test_maps_have_strides_4_to_32_for_any_size(patch_size, size):
    with torch.no_grad():
        maps = tiny(patch_size)(torch.randn(2, 3, *size))
    assert [tuple(found.shape) for found in maps] == [
        (2, 24, -(-size[0] // stride), -(-size[1] // stride)) for stride in (4, 8, 16, 32)
    ]


@pytest.mark.parametrize("window", [None, 3])
def test_maps_and_gradients_in_float32_equal_those_in_float64_on_the_cpu(window, device):
    """TF32 in a convolution or a matrix product would miss the limit by far."""
    image, model = torch.randn(2, 3, 96, 80, dtype=torch.float64), tiny(16, window=window).double()
    results = []
    for side, given in ((model, image), (copy.deepcopy(model).float().to(device), image.float().to(device))):
        maps = side(given)
        sum(found.square().mean() for found in maps).backward()
        results.append([*maps, *(parameter.grad for parameter in side.parameters() if parameter.grad is not None)])
    assert len(results[0]) == len(results[1])
    for exact, found in zip(*results):
        assert (found.cpu().double() - exact).norm() <= 3e-5 * exact.norm() + 1e-9


def test_padding_does_not_move_features():
    """An image and its zero-padded copy have the same map; otherwise boxes would be off for odd sizes."""
    model, image = tiny(16), torch.randn(1, 3, 50, 75)
    padded = torch.nn.functional.pad(image, (0, 21, 0, 14))
    with torch.no_grad():
        for small, large in zip(model(image), model(padded)):
            torch.testing.assert_close(small, large[..., : small.shape[2], : small.shape[3]])


def test_patch_14_maps_lie_where_their_strides_say():
    """A map of x coordinates in patches of 14 must come out as x coordinates in cells of 16."""
    # Only the level without learned weights can be checked exactly: stride 16.
    pyramid = tiny(14).pyramid
    image = torch.zeros(1, 3, 168, 168)
    columns = (torch.arange(pyramid.pad(image).shape[-1] // 14) + 0.5) * 14
    tap = columns.expand(1, 24, len(columns), len(columns)).contiguous()
    with torch.no_grad():
        found = pyramid([tap] * 4, (168, 168))[2][0, 0, 0]
    expected = (torch.arange(11) + 0.5) * 16
    torch.testing.assert_close(found[1:], expected[1:], rtol=0, atol=1e-3)


def test_default_taps_scale_the_published_ones():
    assert default_blocks(12) == (3, 5, 7, 11)
    assert default_blocks(4) == (0, 1, 2, 3)
    assert default_blocks(24) == (7, 11, 15, 23)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(3)
    encoder = Encoder(EncoderConfig(**TINY))
    return save_encoder(encoder, tmp_path / "encoder.safetensors", method="test", name="tiny")


def test_weights_stay_the_checkpoints_through_initialization(checkpoint):
    expected = fingerprint(load_encoder(checkpoint).encoder)
    model = EncoderBackbone(TINY, init_cfg={"type": "Pretrained", "checkpoint": str(checkpoint)}, drop_path=0.3)
    assert fingerprint(model.encoder) == expected
    model.init_weights()
    for mode in (True, False):
        assert fingerprint(model.train(mode).encoder) == expected
    assert fingerprint(EncoderBackbone(TINY).encoder) != expected


def test_a_checkpoint_of_another_size_is_refused(checkpoint):
    with pytest.raises(UserError, match="do not fit"):
        EncoderBackbone(TINY | {"embed_dim": 48}, init_cfg={"type": "Pretrained", "checkpoint": str(checkpoint)})


def test_eight_heads_are_the_same_weights_and_another_function(checkpoint):
    init = {"type": "Pretrained", "checkpoint": str(checkpoint)}
    own, ablated = (EncoderBackbone(TINY, num_heads=heads, init_cfg=init).eval() for heads in (None, 8))
    assert fingerprint(own.encoder) == fingerprint(ablated.encoder)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert (own(image)[2] - ablated(image)[2]).abs().max() > 1e-5


def test_frozen_blocks_learn_nothing_and_the_rest_does():
    model = tiny(frozen_blocks=2, drop_path=0.5).train()
    sum(found.square().mean() for found in model(torch.randn(2, 3, 64, 64))).backward()
    trained = {name for name, parameter in model.encoder.named_parameters() if parameter.grad is not None}
    assert {name.split(".")[1] for name in trained} == {"2", "3"}
    assert not model.encoder.blocks[1].training
    assert model.encoder.blocks[2].training
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_every_trainable_parameter_gets_a_gradient():
    """Data parallelism waits for all of them: what the taps do not reach must not be trainable."""
    model = tiny(blocks=(0, 1, 2, 3)).train()
    sum(found.square().mean() for found in model(torch.randn(1, 3, 64, 64))).backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    assert not model.encoder.norm.weight.requires_grad


def test_stochastic_depth_acts_in_training_only():
    model, image = tiny(drop_path=0.5), torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(image)[2], model(image)[2])
        model.train()
        assert not torch.equal(model(image)[2], model(image)[2])


@pytest.mark.parametrize("window", [None, 3])
def test_checkpointed_activations_give_the_same_gradient(window):
    image, gradients = torch.randn(1, 3, 64, 64), []
    for activations in (False, True):
        model = tiny(checkpoint_activations=activations, window=window).train()
        sum(found.square().mean() for found in model(image)).backward()
        gradients.append(model.encoder.patch_embed.proj.weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("prefix", [{}, {"class_token": True, "register_tokens": 2}])
def test_windows_equal_global_attention_where_a_window_holds_all(prefix):
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = tiny(**prefix)(image)
        whole = tiny(**prefix, window=2, global_blocks=(0, 1, 2, 3))(image)
        cut = tiny(**prefix, window=2)(image)
    for found, plain, other in zip(whole, expected, cut):
        torch.testing.assert_close(found, plain)
        assert (other - plain).abs().max() > 1e-4


def test_a_window_sees_only_itself():
    model = tiny(window=2)
    image = torch.randn(1, 3, 64, 64)
    changed = image.clone()
    changed[..., 32:] += 1.0  # the right half: other windows
    with torch.no_grad():
        before, after = model(image)[2], model(changed)[2]
    torch.testing.assert_close(before[..., :2], after[..., :2])
    assert (before[..., 2:] - after[..., 2:]).abs().max() > 1e-5


def test_an_undefined_patch_size_is_an_error():
    with pytest.raises(UserError, match="patch size 28"):
        EncoderBackbone(TINY | {"patch_size": 28})


def test_an_encoder_of_timms_own_is_tapped_and_frozen_too():
    """Rotary positions, SwiGLU, patch 14: nothing of this is a plain ViT."""
    config = describe_network(create_network("eva02_tiny_patch14_224", depth=4), "eva02_tiny_patch14_224", {"depth": 4})
    model = EncoderBackbone(config.to_dict(), frozen_blocks=1, drop_path=0.1).train()
    maps = model(torch.randn(1, 3, 64, 96))
    assert [tuple(found.shape[-2:]) for found in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    sum(found.square().mean() for found in maps).backward()
    assert model.encoder.parts.blocks[0].mlp.fc2.weight.grad is None
    assert model.encoder.parts.blocks[3].mlp.fc2.weight.grad is not None
    with pytest.raises(UserError, match="cannot attend in windows"):
        EncoderBackbone(config.to_dict(), window=2)(torch.randn(1, 3, 64, 96))
