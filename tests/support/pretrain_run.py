"""Run `python -m pretrain` in this process or another, and read its log."""

import json
import os
import subprocess
import sys

import numpy as np
from PIL import Image

from pretrain.__main__ import main

RECIPE = """
name = "tiny"
encoder = dict(architecture="custom", patch_size=8, image_size=48, embed_dim=32, depth=2, num_heads=2)
head = dict(centroids=16, hidden_dim=32, bottleneck_dim=16)
views = dict(global_size=48, local_size=32, n_local=2)
sampling = dict(mode="random", window_global=4, window_local=2)
mean_shift = dict(scale_sa=0.05, scale_ca=0.1)
optimizer = dict(lr=1e-2)
training = dict(epochs=2, batch_size=4, drop_path=0.1, precision="fp32")
runtime = dict(workers=1, log_every=1, checkpoint_every=2)
"""
TIMES = {"images_per_second", "data_wait_share"}


def words(recipe, images, out, *arguments):
    return [str(word) for word in (recipe, "--data", images, "--out", out, "--device", "cpu", *arguments)]


def run(recipe, images, out, *arguments):
    """The exit code of a run in this process."""
    return main(words(recipe, images, out, *arguments))


def start(recipe, images, out, *arguments):
    """A run in a process of its own."""
    command = [sys.executable, "-m", "pretrain", *words(recipe, images, out, *arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def log(out):
    """The lines of a run's log, without times."""
    rows = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def draw_images(root):
    """An ImageFolder of 14 smooth random pictures."""
    random = np.random.default_rng(0)
    for i in range(14):
        folder = root / "train" / f"class{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        small = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((80, 60), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg")
    return root
