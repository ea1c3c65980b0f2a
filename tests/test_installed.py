"""The wheel, installed into a folder of its own and used far from the clone: command, recipes, data of the tables."""

import os
import shutil
import subprocess
import sys

import pytest
from support.checkout import ROOT, tracked_files

PACKAGES = ("flsl", "pretrain", "eval", "results")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where pip put the wheel."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "installed"))
    for path in tracked_files("*"):
        if path.parts[0] in (*PACKAGES, "configs") or len(path.parts) == 1:
            (source / path.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, source / path)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *alone, "--wheel-dir", wheels, source], check=True)
    subprocess.run([*pip, "install", *alone, "--no-compile", "--target", target, *wheels.glob("*.whl")], check=True)
    return target


@pytest.fixture
def flsl(installed, tmp_path):
    """Run the console command in an empty folder."""

    def run(*words, program=installed / "bin" / "flsl"):
        environment = os.environ | {"PYTHONPATH": str(installed)}
        return subprocess.run([program, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


def test_everything_that_programs_read_is_shipped(installed):
    wanted = [path for path in tracked_files("*") if path.parts[0] in PACKAGES and path.suffix not in (".py", ".md")]
    reports = ("results", "studies"), ("results", "hardware")  # which no program reads
    wanted = [path for path in wanted if path.parts[:2] not in reports]
    recipes = ["flsl" / path for path in tracked_files("*.py") if path.parts[0] == "configs"]
    assert len(wanted) > 10
    assert len(recipes) > 10
    assert not [path for path in (*wanted, *recipes) if not (installed / path).is_file()]


@pytest.mark.parametrize("words", ["", "pretrain", "eval davis", "results leaderboard", "inspect"])
def test_help_names_the_command_that_was_called(flsl, words):
    done = flsl(*words.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: flsl {words}".strip() + " ")
    assert "python -m" not in done.stdout


def test_recipes_are_found_by_name(flsl):
    code = "from flsl.runtime.config import read_config as r; print(r('faster-rcnn_vit-s8_flsl_1x'))"
    done = flsl("-c", code, program=sys.executable)
    assert "'encoder': 'vit_small/8'" in done.stdout, done.stderr
    assert "'milestones': (8, 11)" in done.stdout  # from its _base_
    for study, said in (
        ("ablation_centroids", "nowhere/imagenet is not there"),
        ("ablation_centroid", "configs/studies/ablation_centroids.py"),
        ("configs/nowhere.py", "found by its name"),
    ):
        done = flsl("results", "study", study, "--data", "nowhere", "--out", "out")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr


def test_results_read_the_figures_that_are_shipped(flsl):
    done = flsl("results", "published")
    assert "44.9" in done.stdout, done.stderr
    done = flsl("results", "leaderboard", "--records", ".")
    assert (done.returncode, "`flsl eval ... --out DIR`" in done.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_chain_runs(flsl, tmp_path):
    for command in (
        "eval data synthesize images images --count 32 --classes 2",
        "eval data synthesize coco coco --count 4 --val-count 3",
        "pretrain flsl_demo --data images --out run --set training.epochs=1",
        "eval knn --checkpoint run/encoder.safetensors --data coco --out run/knn",
        "results leaderboard --records run",
        "quick run/encoder.safetensors --out quick",
    ):
        done = flsl(*command.split())
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "leaderboard.html").is_file()
    assert (tmp_path / "quick" / "report.html").is_file()
