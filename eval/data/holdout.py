"""Hold out a part of pictures in class folders, so that k-NN has something to classify that pretraining did not see.

python -m eval data prepare images DIR --out DIR [--val-every N]
"""

import os
import shutil
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from eval.class_folders import read_class_folders
from flsl.runtime.apart import require_apart
from flsl.runtime.errors import UserError
from flsl.runtime.marker import MARKER, read_marker

UNFINISHED = ".unfinished"


def hold_out(root: Path, out: Path, every: int) -> tuple[int, int]:
    """Link every `every`-th picture of each class, by name, from `out/val/CLASS/`, and the others from `out/train/CLASS/`.

    Both folders appear only when all links are there. What tells drawn pictures from real ones goes with them.

    Args:
        root: `CLASS/*.jpg`, or a folder with `train/CLASS/*.jpg`.
        out: a new or empty folder, not among the pictures.
        every: at least 2.

    Returns:
        The number of pictures in train and in val.

    Raises:
        UserError: `root` has no class folders, no class has so many pictures, or `out` is in use or cannot be written to.
    """
    if not root.is_dir():
        raise UserError(
            f"{root} is not a folder. DIR must hold pictures in class folders: CLASS/*.jpg or train/CLASS/*.jpg."
        )
    marker = root / MARKER if read_marker(root) else None
    if (root / "val").is_dir():
        raise UserError(f"{root} has a val/ already: `python -m eval knn --data {root}` takes it as it is.")
    folder = root / "train" if (root / "train").is_dir() else root
    pictures = read_class_folders(folder)
    require_apart(out, {"the pictures of": folder})
    split: dict[str, list[Path]] = {"train": [], "val": []}
    for _, found in groupby(pictures, itemgetter(0)):
        for number, (_, path) in enumerate(found, start=1):
            split["val" if number % every == 0 else "train"].append(path)
    if not split["val"]:
        raise UserError(
            f"no class of {folder} has {every} pictures: none can be held out. Choose a smaller --val-every."
        )
    part = out / UNFINISHED
    try:
        if part.is_dir():
            shutil.rmtree(part)
        if out.exists() and next(out.iterdir(), None) is not None:
            raise UserError(f"{out} is not empty. Choose a new folder for --out.")
        for name, chosen in split.items():
            for path in chosen:
                link = part / name / path.relative_to(folder)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.path.realpath(path))
        if marker:
            shutil.copyfile(marker, part / MARKER)
        for made in sorted(part.iterdir()):
            made.rename(out / made.name)
        part.rmdir()
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}. Choose a folder that can be written to.") from error
    return len(split["train"]), len(split["val"])
