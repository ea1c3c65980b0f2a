"""Every program answers --help at once, and explains bad input in one paragraph with exit code 2."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import flsl.__main__
from eval.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = [
    "pretrain",
    "eval",
    "eval davis",
    "eval coco",
    "eval uavdt",
    "eval knn",
    "eval segment",
    "eval data",
    "results",
    "results leaderboard",
    "results table",
    "flsl",
    "flsl inspect",
]


def call(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, **options
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_fast_and_complete(program):
    before = os.times()
    result = call(*program.split(), "--help")
    after = os.times()
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("usage: python -m")
    # Seconds of the processor, which other work on the machine does not lengthen: torch alone would take two.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("eval segment --protcol linear-leopart", "unrecognized argument: --protcol. Did you mean --protocol?"),
        (
            "eval davis --checkpiont=pixels/16 --data x",
            "unrecognized argument: --checkpiont. Did you mean --checkpoint?",
        ),
        ("eval data synthesize davis x --sequencs 3", "unrecognized argument: --sequencs. Did you mean --sequences?"),
        ("eval knn --launcher slurm", "unrecognized argument: --launcher\n"),
        ("pretrain dense_demo --dta pictures", "unrecognized argument: --dta. Did you mean --data?"),
        ("results compare a b --metrc J", "unrecognized argument: --metrc. Did you mean --metric?"),
        ("evl davis", "Did you mean eval?"),
        ("eval dvis", "Did you mean davis?"),
        ("eval data synthesize image x", "Did you mean images?"),
    ],
)
def test_a_misspelt_option_or_command_is_named_with_the_nearest(words, told, capsys):
    with pytest.raises(SystemExit) as stop:
        flsl.__main__.main(words.split())
    assert stop.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "argument"),
    [
        (["eval", "davis", "--checkpoint", "pixels/16", "--data", ""], "--data"),
        (["eval", "davis", "--checkpoint", "pixels/16", "--data", "x", "--out="], "--out"),
        (["eval", "data", "verify", "davis", ""], "DIR"),
        (["pretrain", "", "--data", "x", "--out", "y"], "CONFIG"),
        (["results", "leaderboard", "--records", ""], "--records"),
    ],
)
def test_an_empty_path_is_not_the_current_folder(words, argument, capsys):
    """As of `--data "$DATA"` where that is not set."""
    with pytest.raises(SystemExit) as stop:
        flsl.__main__.main(words)
    assert stop.value.code == 2
    assert f"argument {argument}: the path is empty" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["", "eval", "results"])
def test_a_program_alone_lists_its_commands(program, capsys):
    assert flsl.__main__.main(program.split()) == 2
    told = capsys.readouterr().err
    assert "positional arguments" in told
    assert ("discovery" in told) == (program == "eval")


SMALL = {
    "davis": ["--sequences", "1", "--train-sequences", "0", "--frames", "3"],
    "coco": ["--count", "4", "--val-count", "3"],
    "uavdt": ["--sequences", "1", "--train-sequences", "1", "--frames", "2"],
    "segment": ["--count", "2", "--val-count", "2"],
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Folders of tiny drawn data by benchmark; k-NN reads COCO's."""
    root = tmp_path_factory.mktemp("drawn")
    for name, options in SMALL.items():
        assert main(["data", "synthesize", name, str(root / name), *options]) == 0
    return {**{name: root / name for name in SMALL}, "knn": root / "coco"}


@pytest.fixture(scope="module")
def other_network(tmp_path_factory):
    """A checkpoint of another kind."""
    import torch

    path = tmp_path_factory.mktemp("other") / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(8, 3, 7, 7), "layer1.0.conv1.weight": torch.zeros(8, 8, 3, 3)}, path)
    return path


@pytest.fixture
def explained(tmp_path, capfd):
    """Run an adapter that must fail: one paragraph on stderr that holds `word`, exit code 2, no record."""

    def check(benchmark, word, checkpoint, data, *arguments):
        out = tmp_path / "out"
        words = [benchmark, "--checkpoint", checkpoint, "--data", data, "--out", out, *arguments]
        assert main([str(w) for w in words]) == 2
        message = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(message) == 1
        assert word in message[0]
        assert not (out / "record.json").exists()

    return check


@pytest.mark.parametrize("benchmark", ["davis", "coco", "uavdt", "knn", "segment"])
@pytest.mark.parametrize("problem", ["no data", "empty data", "no checkpoint", "other network", "other name"])
def test_bad_input_is_explained(benchmark, problem, tmp_path, other_network, drawn, explained):
    (tmp_path / "empty").mkdir()
    word, checkpoint, data = {
        "no data": ("nowhere", "random:vit_micro/16", tmp_path / "nowhere"),
        "empty data": ("empty", "random:vit_micro/16", tmp_path / "empty"),
        "no checkpoint": ("missing.pth", tmp_path / "missing.pth", drawn[benchmark]),
        "other network": ("resnet.pth", other_network, drawn[benchmark]),
        "other name": ("vit_micro", "random:vit_micr/16", drawn[benchmark]),
    }[problem]
    explained(benchmark, word, checkpoint, data)


@pytest.mark.parametrize(
    ("benchmark", "config"),
    [("coco", "configs/coco/mask-rcnn_smoke.py"), ("uavdt", "configs/uavdt/faster-rcnn_smoke.py")],
)
def test_misspelt_recipe_key_names_the_nearest(benchmark, config, drawn, explained):
    change = ["--config", config, "--set", "training.iteration=3"]
    explained(benchmark, "'iterations'", "random:vit_micro/16", drawn[benchmark], *change)


def test_corrupt_image_and_missing_file_are_named(tmp_path, drawn, explained):
    data = tmp_path / "coco"
    shutil.copytree(drawn["coco"], data)
    truth = json.loads((data / "annotations" / "instances_train2017.json").read_text())
    used = {a["image_id"] for a in truth["annotations"]}
    picture = data / "train2017" / next(i["file_name"] for i in truth["images"] if i["id"] in used)
    picture.write_bytes(picture.read_bytes()[:100])
    recipe = ["--config", "configs/coco/mask-rcnn_smoke.py", "--set", "training.iterations=2"]
    explained("coco", picture.name, "random:vit_micro/16", data, *recipe)
    picture.unlink()
    explained("coco", picture.name, "random:vit_micro/16", data, *recipe)
