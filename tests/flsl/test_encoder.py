"""The encoder has a timm ViT: names and weights stay, and no method gives other features than the encoder's."""

import copy

import pytest
import torch

from flsl.architecture import EncoderConfig
from flsl.checkpoint import fingerprint, load_encoder, save_encoder
from flsl.encoder import Encoder, kept_branches
from flsl.multi_crop import encode_views
from flsl.patches import as_product
from flsl.runtime.errors import UserError
from flsl.timm_network import create_network, describe_network

FULL = EncoderConfig(
    architecture="custom", embed_dim=32, depth=2, num_heads=2, patch_size=4, image_size=16, mlp="swiglu", mlp_ratio=3.0,
    class_token=True, register_tokens=2, position_embedding="learned", layer_scale=True,
)  # fmt: skip
BARE = EncoderConfig(
    architecture="custom", embed_dim=32, depth=2, num_heads=2, patch_size=4, image_size=16, mlp_ratio=3.0,
    position_embedding="learned", layer_scale=True, final_norm=False, qkv_bias=False,
)  # fmt: skip


def rotary():
    """Describe a small network that stays timm's."""
    sizes = {"depth": 2, "img_size": 28}
    return describe_network(create_network("eva02_tiny_patch14_224", **sizes), "eva02_tiny_patch14_224", sizes)


def drawn(config, drop_path=0.0):
    torch.manual_seed(0)
    return Encoder(config, drop_path)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (FULL, "3b705c9a79f5279fa76a6a2395e60ae9554c35f5ff62fabe0e345e4924fe00d3"),
        (BARE, "491420b5540da3a23410ae9c55ea62056c23841fe58e425d45a60eb33945318e"),
        (None, "d4f8b4a977915443680d1eabd6fd8250203f27cfa57d363776d94d1afb101071"),
    ],
    ids=["full", "bare", "timm's"],
)
def test_draws_and_fingerprints_stay(config, expected, tmp_path):
    """Records name encoders by fingerprint: names, shapes and the order of draws may not change."""
    encoder = drawn(config or rotary())
    assert fingerprint(encoder) == expected
    file = save_encoder(encoder, tmp_path / "a.safetensors", method="random", name="drawn")
    assert fingerprint(load_encoder(file).encoder) == expected


def test_the_untrained_baseline_stays():
    loaded = load_encoder("random:vit_small/16")
    assert fingerprint(loaded.encoder) == "a042e0f1099fbfe77ba122d18c8e1b93bc11c3a0d7a43c23652bd6051f5786ee"


def test_names_and_their_order_are_those_of_public_checkpoints():
    """An optimizer's state is stored by the order of parameters."""
    names = [name for name, _ in drawn(FULL).named_parameters()]
    assert names == list(drawn(FULL).state_dict())
    assert names[:5] == ["cls_token", "reg_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"]
    assert names[5:8] == ["blocks.0.norm1.weight", "blocks.0.norm1.bias", "blocks.0.attn.qkv.weight"]
    assert names[-2:] == ["norm.weight", "norm.bias"]
    assert not [name for name, _ in drawn(BARE).named_parameters() if name.startswith(("norm", "cls", "reg"))]


@pytest.mark.parametrize("config", [FULL, None], ids=["plain", "timm's"])
def test_there_is_one_way_to_features(config):
    encoder = drawn(config or rotary()).eval()
    for method in ("forward_features", "forward_head", "forward_intermediates", "get_intermediate_layers"):
        assert not hasattr(encoder, method)
    patch = encoder.patch_size
    images = torch.randn(2, 3, 2 * patch, 3 * patch)
    first, last = encoder.patch_tokens(images, [0, 1])
    assert first.shape == (2, 6, encoder.embed_dim)
    torch.testing.assert_close(encoder(images), last, atol=0, rtol=0)
    maps = encoder.feature_maps(images, [0])[0]
    torch.testing.assert_close(maps[:, :, 1, 2], first[:, 5], atol=1e-6, rtol=1e-6)
    for blocks in ([], [2], [1, 0], [-1]):
        with pytest.raises(UserError, match=r"ascending and within 0\.\.1"):
            encoder.patch_tokens(images, blocks)
    with pytest.raises(UserError, match="cannot be cut into patches"):
        encoder(images[..., 1:])


@pytest.mark.parametrize("config", [FULL, None], ids=["plain", "timm's"])
def test_recomputed_activations_give_the_same_gradients(config):
    encoder = drawn(config or rotary()).train()
    images, gradients = torch.randn(2, 3, 28, 28), []
    for enable in (False, True):
        again = copy.deepcopy(encoder)
        again.set_grad_checkpointing(enable)
        again(images).square().sum().backward()
        gradients.append({name: p.grad for name, p in again.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    torch.testing.assert_close(*gradients)


def test_branches_that_are_left_out_lie_block_by_block():
    """What a compiled block gets must begin at a multiple of 16 bytes, or it is copied there."""
    kept = kept_branches(torch.rand(8, 3, 2), torch.tensor([0.0, 0.25, 0.5])[:, None, None])
    assert kept.shape == (3, 2, 8)
    assert all(block.is_contiguous() and block.data_ptr() % 16 == 0 for block in kept)


def test_stochastic_depth_reaches_the_last_block():
    for config in (FULL, rotary()):
        encoder = drawn(config, drop_path=0.5).train()
        images = torch.randn(4, 3, 28, 28)
        assert not torch.equal(encoder(images), encoder(images))
        assert torch.equal(encoder.eval()(images), encoder(images))


@pytest.mark.parametrize("variant", ["plain", "shifted", "masked", "class token"])
def test_blocks_get_tokens_whose_channels_lie_together(variant):
    """A block's sums keep the layout of what they are given, and its norms copy what lies otherwise."""
    shape = dict(architecture="custom", embed_dim=32, depth=2, num_heads=2, patch_size=4, image_size=16)
    encoder = drawn(EncoderConfig(**shape, class_token=variant == "class token"))
    seen = []
    for block in encoder.blocks:
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].is_contiguous()))
    options = {
        "shifted": {"shift": torch.rand(3, 2)},
        "masked": {"masked": (torch.rand(3, 20) < 0.5, torch.zeros(1, 32))},
    }
    encoder(torch.randn(3, 3, 16, 20), **options.get(variant, {}))
    assert seen == [True, True]


def test_patches_by_a_product_equal_those_of_the_convolution(device):
    shape = dict(architecture="custom", embed_dim=32, depth=1, num_heads=2, patch_size=4, image_size=16)
    embedding = drawn(EncoderConfig(**shape)).patch_embed.double().to(device)
    images = torch.randn(3, 3, 16, 20, dtype=torch.float64, device=device, requires_grad=True)
    results = []
    for form in (embedding, lambda images: as_product(embedding, images)):
        patches = form(images)
        weight = torch.arange(patches.numel(), dtype=torch.float64, device=device).reshape(patches.shape)
        gradients = torch.autograd.grad((patches * weight.cos()).sum(), [images, *embedding.parameters()])
        results.append([patches.detach(), *gradients])
    assert results[0][0].shape == (3, 4, 5, 32)
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_network_of_timms_encodes_size_by_size():
    encoder = drawn(rotary()).eval()
    views, found = [torch.randn(1, 3, side, side) for side in (56, 28)], []
    for encoder.joins_sizes in (False, True):
        found.append(encode_views(encoder, torch.zeros(2, 1, 1), views))
    assert [group for group, _ in found[1]] == [[0], [1]]
    assert all(torch.equal(ours, theirs) for (_, ours), (_, theirs) in zip(*found))
