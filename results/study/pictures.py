"""What the methods of a study see in the same pictures: components and clusters, drawn by `python -m flsl show`."""

import subprocess
import sys
from functools import partial
from pathlib import Path

from PIL import Image

from flsl.runtime.files import write_atomic
from results.study.cells import Cells


def draw_pictures(cells: Cells, out: Path) -> list[Path]:
    """Draw a sheet for each picture, a row for each floor and each method that is trained; returns the sheets.

    A study without pictures, or whose methods are not trained yet, has none. What goes wrong is said, and ends nothing.
    """
    study = cells.study
    trained = [cells.final(chosen)[0] for chosen in cells.chosen().values() if chosen]
    rows = {name: checkpoint for name, checkpoint in study.floors.items() if checkpoint.startswith("random:")}
    rows |= (methods := {run.method: run.checkpoint for run in trained if run.done})
    if not (study.pictures and methods):
        return []
    words = [word for name, spec in rows.items() for word in ("--checkpoint", spec, "--label", name)]
    images = [str(cells.place.data / picture) for picture in study.pictures]
    command = [sys.executable, "-m", "flsl", "show", *words, *images, "--point", "0.3,0.35", "--out", str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print("warning: the pictures could not be drawn; the message is above", file=sys.stderr)
        return []
    sheets = [Path(line) for line in done.stdout.splitlines()]  # those of an earlier study file may lie beside them
    for sheet in sheets:  # a report holds its pictures: a third of the bytes
        with Image.open(sheet) as drawn:
            smaller = drawn.convert("RGB").reduce(2)
        write_atomic(sheet, partial(smaller.save, optimize=True))
    return sheets
