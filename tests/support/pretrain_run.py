"""Run `python -m pretrain` in this process or another, and read its log."""

import json
import os
import subprocess
import sys

from pretrain.__main__ import main

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
