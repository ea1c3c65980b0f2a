"""Time a real training from files to states: `python -m pretrain bench --part run --seconds 30`."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

COPIES = 1024  # of drawn photographs, as links: an epoch should last
START = 180  # seconds that a training may take to its first report, and to its last ones
LEAST = 3  # reports, of which the first does not count


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
    with (
        tempfile.TemporaryFile("w+", errors="replace") as told,  # a pipe that nobody reads would fill, and stop it
        subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=told) as training,
    ):
        try:
            _wait(lambda: training.poll() is not None or _reports(log) > 0, START)
            end = time.monotonic() + seconds
            _wait(lambda: training.poll() is not None or (time.monotonic() > end and _reports(log) >= LEAST), START)
            training.send_signal(signal.SIGTERM)
            training.wait(START)
        finally:
            training.kill()
        told.seek(0)
        said = told.read()
    if training.returncode not in (0, 75) or _reports(log) < LEAST:
        raise RuntimeError(f"the training ended with exit code {training.returncode}: {said[-500:]}")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    # The first steps compile and fill the loader; where the last layer is freed, a step is recorded once more.
    steady = rows[1:]
    return {
        "steps": rows[-1]["step"] + 1,
        "images_per_second": median(row["images_per_second"] for row in steady),
        "data_wait_share": median(row["data_wait_share"] for row in steady),
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


def _reports(log: Path) -> int:
    """Return how many reports a log holds."""
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def _wait(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.1)
