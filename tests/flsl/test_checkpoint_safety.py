"""Files that are hostile, damaged or something else: one clear error each, and nothing in them is executed."""

import contextlib
import io
import json
import pickle
import random
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from support.layouts import hugging_face_dinov2, hugging_face_vit, layers, prefixed
from support.plain_vit import random_weights

from flsl.checkpoint import load_encoder, save_encoder
from flsl.runtime.errors import UserError


class Bomb:
    """Unpickling this creates a file."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (open, (self.target, "w"))


def refused(path, *parts):
    with pytest.raises(UserError) as error:
        load_encoder(path)
    message = str(error.value)
    assert str(path) in message
    for part in parts:
        assert part in message, message
    assert "weights_only" not in message
    return message


def mutated(rng):
    """Return a checkpoint of a random layout, with a few entries removed, replaced, renamed or retyped."""
    weights = random_weights(
        class_token=rng.random() < 0.5,
        registers=rng.choice([0, 4]),
        layer_scale=rng.random() < 0.5,
        norm=rng.random() < 0.8,
    )
    side = prefixed(weights, "backbone.") | layers("head.last_layer")
    tree = rng.choice([
        weights, {"model": weights}, {"state_dict": weights}, {"teacher": side, "student": prefixed(side, "module.")},
        {"state_dict": prefixed(weights, "module.base_encoder.")}, hugging_face_vit(weights), hugging_face_dinov2(weights),
    ])  # fmt: skip
    tree = dict(tree)
    part = rng.choice([tree, *(value for value in tree.values() if isinstance(value, dict))])
    for key in rng.sample(list(part), min(2, len(part))):
        value = part.pop(key)
        shape = [rng.randint(0, 5) for _ in range(rng.randint(0, 5))]
        part |= rng.choice([
            {}, {key: None}, {key: "text"}, {key: {"deeper": value}}, {7: value}, {f"{key}.x": value},
            {key: torch.zeros(shape)}, {key: torch.zeros(3, dtype=torch.int64)},
        ])  # fmt: skip
    return tree


@pytest.mark.parametrize("seeds", [range(0, 40), range(40, 80)])
def test_damaged_checkpoints_of_any_layout_load_or_explain(tmp_path, seeds):
    for seed in seeds:
        rng = random.Random(seed)
        path = tmp_path / f"{seed}.pth"
        torch.save(mutated(rng), path)
        if seed % 4 == 0:
            data = bytearray(path.read_bytes())
            for _ in range(20):
                data[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(bytes(data))
        with contextlib.suppress(UserError):
            load_encoder(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("where", ["top", "args", "among tensors"])
def test_malicious_pickle(tmp_path, where, zipped):
    target, path = tmp_path / "executed", tmp_path / "evil.pth"
    bomb, weights = Bomb(target), random_weights()
    tree = {"top": bomb, "args": {"teacher": weights, "args": bomb}, "among tensors": weights | {"norm.weight": bomb}}
    torch.save(tree[where], path, _use_new_zipfile_serialization=zipped)
    refused(path, "nothing in it was executed", "open")
    assert not target.exists()


def test_plain_pickle_of_a_class(tmp_path):
    target, path = tmp_path / "executed", tmp_path / "evil.bin"
    path.write_bytes(pickle.dumps({"state_dict": Bomb(target)}))
    refused(path)
    assert not target.exists()


def test_object_of_an_unknown_class_is_named(tmp_path):
    import fractions

    path = tmp_path / "odd.pth"
    torch.save({"model": random_weights(), "args": fractions.Fraction(1, 2)}, path)
    refused(path, "fractions.Fraction", "save its state dict alone")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_pickle(tmp_path, share):
    path = tmp_path / "cut.pth"
    torch.save(random_weights(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "ownload it again")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated_safetensors(tmp_path, share):
    path = tmp_path / "cut.safetensors"
    save_file(random_weights(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(int(len(whole) * share), 9)])
    refused(path, "ownload it again")


def test_zip_bomb(tmp_path):
    """Ten gigabytes of zeros, compressed a thousandfold, under the names of a PyTorch archive."""
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/data/0", bytes(20_000_000))
    refused(path, "claims to hold 2000")


def test_zip_header_that_lies(tmp_path):
    """The directory of an honest archive, changed to claim that one entry has 4 GB."""
    path = tmp_path / "lies.pth"
    torch.save({"x": torch.zeros(10)}, path)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(bytes(data))
    refused(path, "claims to hold 4294967")


def test_safetensors_header_bomb(tmp_path):
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{" + b" " * 100)
    refused(path, "not a readable safetensors file")


def test_tensor_larger_than_its_data(tmp_path):
    path = tmp_path / "wide.pth"
    weights = random_weights()
    weights["norm.weight"] = torch.zeros(1).expand(10**12)
    torch.save(weights, path)
    refused(path, "less data than that")


def test_wrong_shape(tmp_path):
    weights = random_weights()
    weights["blocks.1.attn.proj.weight"] = torch.zeros(64, 60)
    torch.save(weights, tmp_path / "shape.pth")
    refused(tmp_path / "shape.pth", "blocks.1.attn.proj.weight has shape (64, 60), expected (64, 64)")


def test_missing_unexpected_and_misshaped_keys_are_all_listed(tmp_path):
    weights = random_weights()
    del weights["blocks.0.norm1.bias"], weights["norm.bias"]
    weights |= {"blocks.1.attn.extra": torch.zeros(1), "patch_embed.proj.bias": torch.zeros(3)}
    torch.save({"teacher": prefixed(weights, "backbone.")}, tmp_path / "partial.pth")
    refused(
        tmp_path / "partial.pth", "missing blocks.0.norm1.bias", "missing norm.bias", "unexpected blocks.1.attn.extra",
        "patch_embed.proj.bias has shape (3,), expected (64,)",
    )  # fmt: skip


@pytest.mark.parametrize("key", ["patch_embed.proj.weight", "pos_embed", "blocks.0.mlp.fc1.weight", "cls_token"])
def test_scalar_in_place_of_a_tensor(tmp_path, key):
    torch.save(random_weights() | {key: torch.tensor(1.0)}, tmp_path / "scalar.pth")
    refused(tmp_path / "scalar.pth")


def test_gap_between_blocks(tmp_path):
    weights = {key: value for key, value in random_weights(depth=3).items() if not key.startswith("blocks.1.")}
    torch.save(weights, tmp_path / "gap.pth")
    refused(tmp_path / "gap.pth", "not numbered 0 to 1")


def test_diverged_run(tmp_path):
    weights = random_weights()
    weights["norm.weight"][3] = float("nan")
    torch.save(weights, tmp_path / "nan.pth")
    refused(tmp_path / "nan.pth", "norm.weight", "NaN")


def test_resnet(tmp_path):
    from torchvision.models import resnet18

    torch.save({"state_dict": resnet18().state_dict()}, tmp_path / "resnet.pth")
    refused(tmp_path / "resnet.pth", "looks like a ResNet", "conv1.weight", "patch_embed.proj.weight")


def test_head_alone(tmp_path):
    torch.save({"head.mlp.0.weight": torch.zeros(2, 2)}, tmp_path / "head.pth")
    refused(tmp_path / "head.pth", "head.mlp.0.weight", "Known layouts")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"\n  <html>moved</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00rest", "Unpack it"),
        (b"hello", "expected a PyTorch"),
        (b'{"some": "json"}', "weight_map"),
    ],
    ids=["html", "indented html", "lfs", "empty", "gzip", "text", "json"],
)
def test_not_a_weight_file(tmp_path, content, part):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    refused(path, part)


def test_tensor_alone_and_whole_module(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    refused(tmp_path / "tensor.pth", "holds a Tensor; expected a dictionary")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    refused(tmp_path / "module.pth", "torch.nn.modules.linear.Linear", "nothing in it was executed")


def test_torchscript(tmp_path):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    (tmp_path / "script.pt").write_bytes(buffer.getvalue())
    refused(tmp_path / "script.pt", "TorchScript")


def test_shards(tmp_path):
    save_file(random_weights(), tmp_path / "a.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    for shard, part in (
        ("../a.safetensors", "outside of its folder"),
        ("b.safetensors", "needs the shard b.safetensors"),
    ):
        index.write_text(json.dumps({"weight_map": {"norm.weight": shard}}))
        refused(index, part)
    index.write_text(json.dumps({"weight_map": {"norm.gain": "a.safetensors"}}))
    refused(index, "norm.gain")


def test_missing_file_and_empty_folder(tmp_path):
    refused(tmp_path / "none.pth", "does not exist", "python -m flsl models")
    refused(tmp_path, "folder without any of", "encoder.safetensors")


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("config.json", '{"model_args": {"num_he', "config.json, which may say what the weights cannot, is no JSON"),
        ("config.json", "[" * 100_000, "is no JSON"),
        ("preprocessor_config.json", "\0", "preprocessor_config.json"),
        ("config.json", '{"architecture": "vit_base_patch16_224", "model_args": "depth=2"}', "must be an object"),
    ],
)
def test_a_damaged_description_is_not_taken_for_none(tmp_path, name, content, part):
    """The usual number of heads would make other features of the same weights."""
    save_file(random_weights(), tmp_path / "model.safetensors")
    (tmp_path / name).write_text(content)
    refused(tmp_path / "model.safetensors", part)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("vit_samll_patch16_224", ["has no network 'vit_samll_patch16_224'", "Near names: vit_small_patch16_224"]),
        ("vit_base_patch16_224.nobodys", ["cannot build 'vit_base_patch16_224.nobodys'"]),
        ("resnet18", ["is no vision transformer"]),
        (["vit"], ["but is ['vit']"]),
    ],
)
def test_a_network_that_timm_does_not_know_is_not_taken_for_the_usual(tmp_path, name, parts):
    save_file(random_weights(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": name}))
    refused(tmp_path, f"{tmp_path / 'config.json'}: architecture must be", *parts, "move the file away")


def test_a_description_of_too_many_blocks_is_not_built(tmp_path):
    save_file(random_weights(width=128), tmp_path / "model.safetensors")
    asked = {"num_heads": 4, "embed_dim": 128, "depth": 10**9}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_base_patch16_224", "model_args": asked}))
    assert load_encoder(tmp_path).encoder.num_heads == 4


@pytest.mark.parametrize(
    ("encoder", "part"),
    [
        ("[" * 100_000, "description is damaged"),
        ('{"architecture": "custom", "embed_dim": 65536, "depth": 2, "num_heads": 1024, "patch_size": 1, "image_size": 32767}',
         "weights do not fit"),
        ('{"architecture": "custom", "embed_dim": 65536, "depth": 2, "num_heads": 1024, "timm_model": "vit_small_patch16_dinov3", '
         '"timm_arguments": {"embed_dim": 65536, "depth": 2, "num_heads": 1024}}', "weights do not fit"),
    ],
    ids=["nested", "plain", "timm"],
)  # fmt: skip
def test_a_description_of_our_own_that_asks_for_all_memory(tmp_path, encoder, part):
    about = {"format": "flsl-encoder", "encoder": encoder, "pretraining": "{}", "name": "huge", "method": "none"}
    save_file({"pos_embed": torch.ones(1)}, tmp_path / "huge.safetensors", about)
    refused(tmp_path / "huge.safetensors", part)


@pytest.mark.parametrize("shard", [1, None, "../model.safetensors", ""])
def test_shards_that_are_no_names_beside_the_index(tmp_path, shard):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(random_weights(), shard)}))
    refused(index)


@pytest.mark.parametrize("kind", ["meta", "sparse", "quantized"])
def test_tensors_that_are_no_plain_numbers(tmp_path, kind):
    change = {
        "meta": lambda tensor: tensor.to("meta"),
        "sparse": torch.Tensor.to_sparse,
        "quantized": lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
    }[kind]
    torch.save({key: change(tensor) for key, tensor in random_weights().items()}, tmp_path / "odd.pth")
    refused(tmp_path / "odd.pth", "patch_embed.proj.weight")


@pytest.mark.parametrize("digits", ["²", "１６", "9" * 5000], ids=["superscript", "fullwidth", "more than int takes"])
@pytest.mark.parametrize("spec", ["random:vit_small/", "pixels/", "encoder.pth?heads="])
def test_digits_that_are_no_numbers(spec, digits):
    with pytest.raises(UserError, match="checkpoint"):
        load_encoder(spec + digits)


@pytest.mark.parametrize("spec", ["", " ", "?heads=3"])
def test_a_checkpoint_without_a_name_is_not_the_one_in_this_folder(spec, tmp_path, monkeypatch):
    """As of `--checkpoint "$CHECKPOINT"` where that is not set."""
    save_encoder(
        load_encoder("random:vit_nano/16").encoder, tmp_path / "encoder.safetensors", method="random", name="near"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--checkpoint is empty"):
        load_encoder(spec)
