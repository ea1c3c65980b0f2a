"""Trainings that are killed at any moment, again and again, end in the uninterrupted one's files, byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import kill_loop
from support.killed_detector import TINY
from support.pretrain_run import RECIPE, draw_images, log

from eval.data.synthesize import synthesize

ROOT = Path(__file__).resolve().parents[2]
MANY = pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])


def killed(kills, root, *words):
    """The uninterrupted run's folder, and those of the killed ones."""
    command = [sys.executable, kill_loop.__file__, str(kills), str(root), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return root / "whole", sorted(root.glob("[0-9]*"))


@pytest.mark.parametrize("kills", [2, MANY])
def test_pretraining(kills, tmp_path):
    recipe_file = tmp_path / "recipe.py"
    recipe_file.write_text(RECIPE)
    images = draw_images(tmp_path / "images")
    whole, others = killed(kills, tmp_path / "runs", "pretrain", recipe_file, images, "runtime.checkpoint_every=1")
    assert others
    for out in others:
        assert (out / "encoder.safetensors").read_bytes() == (whole / "encoder.safetensors").read_bytes()
        assert log(out) == log(whole)
        assert not list(out.rglob(".*.tmp-*"))


@pytest.mark.parametrize("kills", [1, MANY])
def test_detector(kills, tmp_path):
    synthesize("coco", tmp_path / "coco", 0, count=8, val_count=4, height=96, width=128)
    overrides = ("training.iterations=4", "runtime.checkpoint_every=1", "training.ema=0.1", "images.crop=True")
    whole, others = killed(
        kills, tmp_path / "runs", "detector", "random:vit_micro/16", tmp_path / "coco", *TINY, *overrides
    )
    assert others
    for out in others:
        assert (out / "detector.safetensors").read_bytes() == (whole / "detector.safetensors").read_bytes()
