"""What the methods of a study see in the same pictures: components and clusters, drawn by `python -m flsl show`."""

import subprocess
import sys
from pathlib import Path

from results.study.cells import Cells


def draw_pictures(cells: Cells, out: Path) -> list[Path]:
    """Draw a sheet for each picture, a row for each floor and each method that is trained; returns the sheets.

    A study without pictures, or whose methods are not trained yet, has none. What goes wrong is said, and ends nothing.
    """
    study = cells.study
    trained = [cells.final(chosen)[0] for chosen in cells.chosen().values() if chosen]
    checkpoints = [run.checkpoint for run in trained if run.done]
    if not (study.pictures and checkpoints):
        return []
    drawable = [checkpoint for checkpoint in study.floors.values() if checkpoint.startswith("random:")]
    words = [word for checkpoint in [*drawable, *checkpoints] for word in ("--checkpoint", checkpoint)]
    images = [str(cells.place.data / picture) for picture in study.pictures]
    command = [sys.executable, "-m", "flsl", "show", *words, *images, "--out", str(out)]
    if subprocess.run(command).returncode:
        print("warning: the pictures could not be drawn; the message is above", file=sys.stderr)
        return []
    return sorted(out.glob("*.png"))
