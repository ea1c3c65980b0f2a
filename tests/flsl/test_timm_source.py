"""`timm:NAME` takes timm's definition of a network and a local weight file, and computes what timm computes."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from flsl.checkpoint import fingerprint, load_encoder, save_encoder
from flsl.runtime.errors import UserError


def timm_network(name, folder, **arguments):
    """Build a network as timm does and save it under its full name; returns it."""
    torch.manual_seed(0)
    network = timm.create_model(name, **arguments).eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    full_name = f"{network.pretrained_cfg['architecture']}.{network.pretrained_cfg['tag']}"
    save_file(network.state_dict(), folder / f"{full_name}.safetensors")
    return network


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLSL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("name", "plain"), [("test_vit", True), ("test_vit2", True), ("eva02_tiny_patch14_224", False)]
)
def test_features_are_timms(tmp_path, cache, name, plain):
    network = timm_network(name, cache, dynamic_img_size=True)
    loaded = load_encoder(f"timm:{name}")
    patch, side = loaded.encoder.patch_size, network.patch_embed.img_size[0]
    assert (loaded.encoder.config.timm_model is None) == plain
    assert loaded.name == f"{name}.{network.pretrained_cfg['tag']}"
    assert loaded.encoder.config.image_mean == network.pretrained_cfg["mean"]
    for size in ((side, side), (3 * patch, 5 * patch)):
        images = torch.randn(1, 3, *size)
        last = loaded.encoder.depth - 1
        expected = network.forward_intermediates(images, indices=[0, last], norm=True, intermediates_only=True)
        for got, want in zip(loaded.encoder.feature_maps(images, [0, last]), expected):
            torch.testing.assert_close(got, want, atol=1e-5, rtol=0)
        torch.testing.assert_close(
            loaded.encoder(images), loaded.encoder.feature_maps(images)[0].flatten(2).transpose(1, 2)
        )
    ours = save_encoder(loaded.encoder, tmp_path / "ours.safetensors", method="timm", name=name)
    assert fingerprint(load_encoder(ours).encoder) == fingerprint(loaded.encoder)
    with pytest.raises(UserError, match=f"{3 * patch}x{4 * patch + 1} pixels cannot be cut into patches of {patch}"):
        loaded.encoder(torch.zeros(1, 3, 3 * patch, 4 * patch + 1))


def test_dinov2_with_registers_is_called_so(cache):
    timm_network("vit_small_patch14_reg4_dinov2", cache, img_size=28)
    assert load_encoder("timm:vit_small_patch14_reg4_dinov2").method == "DINOv2 with registers"


def test_absent_weights_say_where_to_get_them_and_put_them(cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(cache / "none"))
    with pytest.raises(UserError, match=r"huggingface\.co/timm/vit_small_patch16_dinov3\.lvd1689m") as error:
        load_encoder("timm:vit_small_patch16_dinov3")
    assert str(cache / "vit_small_patch16_dinov3.lvd1689m.safetensors") in str(error.value)
    assert "flsl models timm:vit_small_patch16_dinov3.lvd1689m --download" in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [("vit_smal_patch16_224", "timm .* has no network 'vit_smal_patch16_224'"), ("resnet18", "no vision transformer")],
)
def test_other_names_are_refused(cache, name, message):
    with pytest.raises(UserError, match=message):
        load_encoder(f"timm:{name}")


def test_weights_of_another_size_are_refused(cache):
    network = timm.create_model("test_vit", embed_dim=128)
    save_file(network.state_dict(), cache / "test_vit.r160_in1k.safetensors")
    with pytest.raises(UserError, match="weights do not fit the encoder: cls_token has shape"):
        load_encoder("timm:test_vit")


@pytest.mark.parametrize("option", ["heads=1", "positions=dino"])
def test_options_that_a_network_of_timms_cannot_follow_are_refused(cache, option):
    timm_network("eva02_tiny_patch14_224", cache)
    with pytest.raises(UserError, match="eva02_tiny_patch14_224"):
        load_encoder(f"timm:eva02_tiny_patch14_224?{option}")


@pytest.mark.parametrize("spec", ["timm:test_vit", "random:vit_nano/16"])
@pytest.mark.parametrize("option", ["branch=student", "prefix=net"])
def test_a_single_network_has_neither_branch_nor_prefix(cache, spec, option):
    timm_network("test_vit", cache)
    with pytest.raises(UserError, match=f"{spec}.* one network"):
        load_encoder(f"{spec}?{option}")
