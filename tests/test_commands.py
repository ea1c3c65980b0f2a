"""Every program answers --help at once, and explains bad input in one paragraph with exit code 2."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = [
    "pretrain",
    "eval",
    "eval davis",
    "eval coco",
    "eval uavdt",
    "eval knn",
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
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        result = call(*program.split(), "--help")
        seconds.append(time.perf_counter() - begin)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("usage: python -m")
    assert min(seconds) < 1


@pytest.fixture(scope="module")
def other_network(tmp_path_factory):
    """A checkpoint of another kind."""
    import torch

    path = tmp_path_factory.mktemp("other") / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(8, 3, 7, 7), "layer1.0.conv1.weight": torch.zeros(8, 8, 3, 3)}, path)
    return path


@pytest.mark.parametrize("benchmark", ["davis", "coco", "uavdt", "knn"])
def test_bad_input_is_explained(benchmark, tmp_path, other_network):
    (tmp_path / "empty").mkdir()
    model = ["--checkpoint", "random:vit_micro/16"]
    cases = {
        "nowhere": [*model, "--data", tmp_path / "nowhere"],
        "empty": [*model, "--data", tmp_path / "empty"],
        "missing.pth": ["--checkpoint", tmp_path / "missing.pth", "--data", tmp_path / "empty"],
        "resnet.pth": ["--checkpoint", other_network, "--data", tmp_path / "empty"],
        "vit_micro": ["--checkpoint", "random:vit_micr/16", "--data", tmp_path / "empty"],
    }
    for word, arguments in cases.items():
        result = call("eval", benchmark, *arguments, "--out", tmp_path / "out", "--device", "cpu")
        assert result.returncode == 2, (word, result.stderr)
        assert "Traceback" not in result.stderr, word
        assert word in result.stderr, result.stderr
        assert len(result.stderr.strip().splitlines()) <= 3, result.stderr
    assert not (tmp_path / "out" / "record.json").exists()
