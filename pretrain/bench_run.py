"""Time a real training from files to states: `python -m pretrain bench --part run --seconds 30`."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

COPIES = 1024  # of drawn photographs, as links: an epoch should last
START = 180  # seconds that a training may take to its first report


def time_run(config: Path, data: Path, out: Path, *, seconds: float, changes: list[str], device: str) -> dict[str, Any]:
    """Train for so many seconds after the first report, stop by a signal as a scheduler would, and read the log.

    Args:
        config: the recipe.
        data: images.
        out: a folder for the run.
        seconds: how long.
        changes: of the recipe, `key=value`.
        device: where to train.

    Raises:
        RuntimeError: the training did not begin, or did not end as one that was asked to stop.
    """
    log = out / "log.jsonl"
    words = ["--data", data, "--out", out, "--device", device]
    sets = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "pretrain", config, *words, *sets]
    with subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as training:
        try:
            _wait(lambda: training.poll() is not None or (log.is_file() and log.stat().st_size > 0), START)
            _wait(lambda: training.poll() is not None, seconds)
            training.send_signal(signal.SIGTERM)
            _, said = training.communicate(timeout=START)
        finally:
            training.kill()
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    if training.returncode not in (0, 75) or len(rows) < 2:
        raise RuntimeError(f"the training ended with exit code {training.returncode}: {said[-500:]}")
    steady = rows[1:]  # the first steps compile and fill the loader
    return {
        "steps": rows[-1]["step"] + 1,
        "images_per_second": mean(row["images_per_second"] for row in steady),
        "data_wait_share": mean(row["data_wait_share"] for row in steady),
        "skipped_steps": rows[-1]["skipped_steps"],
        "loss": rows[-1]["loss"],
        "exit_code": training.returncode,
    }


def link_photographs(folder: Path, photographs: list[Path]) -> Path:
    """Fill a new folder with many links to a few photographs."""
    folder.mkdir()
    for number in range(COPIES):
        for photograph in photographs:
            (folder / f"{number:05}-{photograph.name}").symlink_to(photograph)
    return folder


def _wait(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.1)
