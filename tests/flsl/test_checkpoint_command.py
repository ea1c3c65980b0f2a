"""`python -m flsl` and the string that names a checkpoint with its overrides."""

import json

import pytest
import torch
from support.help_text import help_of
from support.layouts import layers, prefixed, training_checkpoint
from support.plain_vit import plain_features, random_weights

from flsl.__main__ import COMMANDS, main
from flsl.architecture import EncoderConfig
from flsl.checkpoint import fingerprint, load_encoder, save_encoder, untrained
from flsl.runtime.errors import UserError
from flsl.source import Overrides, join_spec, split_spec


@pytest.fixture
def dino(tmp_path):
    """A DINO training checkpoint, 128 wide: two heads."""
    student, teacher = (prefixed(random_weights(width=128, seed=seed), "backbone.") for seed in (0, 1))
    head = layers("head.mlp.0", "head.last_layer")
    torch.save(training_checkpoint(prefixed(student | head, "module."), teacher | head), tmp_path / "dino.pth")
    return tmp_path / "dino.pth"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_fast_and_starts_with_the_command(command):
    assert f"python -m flsl {command}".strip() in help_of("flsl", *command.split())


def test_inspect_prints_the_proof(dino, capsys):
    assert main(["inspect", str(dino)]) == 0
    printed = capsys.readouterr().out
    loaded = load_encoder(dino)
    for part in ("DINO training checkpoint", "width 128, 2 blocks, 2 heads", "class token, grid 4x4 of 8-pixel patches",
                 "learned, resized by 'dino'", "teacher.head.* (2)", loaded.file_sha256, fingerprint(loaded.encoder)):  # fmt: skip
        assert part in printed
    assert "warning" not in printed


def test_the_home_of_nobody_is_no_checkpoint(capsys):
    """A shell leaves `~NAME` as it is where there is no such user."""
    assert main(["inspect", "~nobody-of-this-name/encoder.pth"]) == 2
    assert "checkpoint ~nobody-of-this-name/encoder.pth does not exist" in capsys.readouterr().err


def test_inspect_json_is_what_records_hold(dino, capsys):
    assert main(["inspect", str(dino), "--json", "--heads", "4", "--all"]) == 0
    printed = json.loads(capsys.readouterr().out)
    fields = load_encoder(f"{dino}?heads=4").model_fields()
    assert {key: printed[key] for key in fields if key != "source"} == {
        k: v for k, v in fields.items() if k != "source"
    }
    assert printed["encoder"]["num_heads"] == 4
    assert printed["warnings"] == ["num_heads overridden: 4 instead of 2"]
    assert "student.head.last_layer.weight" in printed["dropped"]
    assert fields["pretraining"]["dropped"] == [
        "teacher.head.* (2)",
        "student.backbone.* (30)",
        "student.head.* (2)",
        "optimizer",
    ]


@pytest.mark.parametrize("change", [{"image_mean": (0.5, 0.5, 0.5)}, {"norm_eps": 1e-5}, {"norm_eps": 1e-12}])
def test_another_normalization_is_another_encoder(tmp_path, change):
    """Most benchmarks normalize as the encoder says: a result by one mean is none by another, nor by another epsilon."""
    found = []
    for fields in ({}, change):
        made = untrained(EncoderConfig("vit_nano", **fields)).encoder
        found.append(load_encoder(save_encoder(made, tmp_path / "e.safetensors", method="m", name="n")))
    assert fingerprint(found[0].encoder) == fingerprint(found[1].encoder) == found[0].fingerprint
    assert found[1].fingerprint != found[0].fingerprint


def test_heads_override_changes_attention_and_warns(dino):
    usual, ablation = load_encoder(dino), load_encoder(dino, overrides=Overrides(num_heads=8))
    assert (usual.warnings, ablation.warnings) == ([], ["num_heads overridden: 8 instead of 2"])
    assert fingerprint(usual.encoder) == fingerprint(ablation.encoder) == usual.fingerprint
    assert ablation.fingerprint != usual.fingerprint  # the same weights, another function: records may not mix them up
    weights, images = random_weights(width=128, seed=1), torch.randn(1, 3, 32, 32)
    for loaded, heads in ((usual, 2), (ablation, 8)):
        expected = plain_features(weights, images, heads)
        torch.testing.assert_close(loaded.encoder.feature_maps(images)[0], expected, atol=1e-5, rtol=0)


def test_positions_and_arch_overrides(dino):
    resized = load_encoder(f"{dino}?positions=size")
    assert resized.warnings == ["position_interpolation overridden: size instead of dino"]
    images = torch.randn(1, 3, 24, 48)
    expected = plain_features(random_weights(width=128, seed=1), images, 2, positions="size")
    torch.testing.assert_close(resized.encoder.feature_maps(images)[0], expected, atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="do not fit the encoder"):
        load_encoder(f"{dino}?arch=vit_small")
    with pytest.raises(UserError, match="Did you mean 'vit_small'"):
        load_encoder(f"{dino}?arch=vit_smal")


def test_width_that_leaves_heads_open_asks_for_them(tmp_path):
    torch.save(random_weights(width=96), tmp_path / "narrow.pth")
    with pytest.raises(UserError, match="Say --heads N"):
        load_encoder(tmp_path / "narrow.pth")
    loaded, other = (load_encoder(tmp_path / "narrow.pth", overrides=Overrides(num_heads=heads)) for heads in (3, 2))
    assert loaded.encoder.num_heads == 3
    assert loaded.fingerprint != other.fingerprint
    with pytest.raises(UserError, match="96 is no multiple of num_heads 7"):
        load_encoder(tmp_path / "narrow.pth?heads=7")


@pytest.mark.parametrize(
    "overrides", [Overrides(), Overrides(num_heads=8), Overrides("vit_small", 8, "size", "student")]
)
def test_specs_join_and_split(overrides):
    assert split_spec(join_spec("folder/file.pth", overrides)) == ("folder/file.pth", overrides)
    nested = join_spec(join_spec("x.pth", Overrides(branch="teacher")), overrides)
    assert split_spec(nested)[1].branch == (overrides.branch or "teacher")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("head=8", "Did you mean 'heads'"),
        ("heads=many", "positive number"),
        ("positions=cubic", "dino, size or size_plain"),
    ],
)
def test_unknown_options_are_refused(dino, option, message):
    with pytest.raises(UserError, match=message):
        load_encoder(f"{dino}?{option}")


def test_branch_of_a_file_with_one_network(tmp_path):
    torch.save(random_weights(), tmp_path / "bare.pth")
    with pytest.raises(UserError, match=r"\(DINO backbone\) holds one network"):
        load_encoder(f"{tmp_path / 'bare.pth'}?branch=teacher")


def test_convert_keeps_the_encoder_and_its_origin(dino, tmp_path, capsys):
    out = tmp_path / "ours.safetensors"
    assert main(["convert", str(dino), str(out), "--name", "my DINO"]) == 0
    before, after = load_encoder(dino), load_encoder(out)
    assert fingerprint(before.encoder) in capsys.readouterr().out
    assert after.encoder.config == before.encoder.config
    assert fingerprint(after.encoder) == fingerprint(before.encoder)
    assert (after.name, after.method) == ("my DINO", "DINO")
    assert after.pretraining["source_sha256"] == before.file_sha256
    assert after.pretraining["converted_from"] == "DINO training checkpoint"
    assert main(["convert", str(dino), str(tmp_path / "ours.pth")]) == 2


@pytest.mark.parametrize(("target", "out"), [("timm", "t"), ("hf", "h"), ("mmdet", "m.pth"), ("torch", "t.pth")])
def test_export(dino, tmp_path, capsys, target, out):
    assert main(["export", str(dino), "--to", target, str(tmp_path / out)]) == 0
    assert str(tmp_path / out) in capsys.readouterr().out
    assert load_encoder(tmp_path / out).encoder.embed_dim == 128
    for wrong in ["file.pth"] if target in ("timm", "hf") else ["folder", "ours.safetensors"]:
        assert main(["export", str(dino), "--to", target, str(tmp_path / wrong)]) == 2
        assert f"--to {target} writes" in capsys.readouterr().err
        assert not (tmp_path / wrong).exists()


def test_eval_takes_the_overrides(dino):
    """`--heads` reaches the record through the one string that every adapter passes on."""
    import argparse

    from flsl.commands.arguments import add_overrides, overrides

    parser = argparse.ArgumentParser()
    add_overrides(parser)
    arguments = parser.parse_args(["--heads", "4", "--branch", "student"])
    loaded = load_encoder(join_spec(str(dino), overrides(arguments)))
    assert (loaded.encoder.num_heads, loaded.pretraining["branch"]) == (4, "student")
    assert loaded.source == f"{dino}"


def test_a_spelling_mistake_costs_one_paragraph(capsys):
    assert main(["inspect", "nowhere.pth"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: checkpoint nowhere.pth does not exist")
    assert error.count("\n") == 1
