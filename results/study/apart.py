"""No figure on the data that settings were chosen on: what the files say of it, whatever folders and splits are called."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from flsl.runtime.errors import UserError
from flsl.runtime.files import read_lines
from results.record import Record
from results.study.declaration import Evaluation, Study

SHOWN = 3  # names in a message
SMALL = (32, 18)  # pixels of frames that are compared
ALIKE = 8  # mean difference of their gray, of 255: other sizes and compressions of one frame differ by less


def require_videos_apart(study: Study, data: Path) -> None:
    """Hold that no video chooses a trial and is reported, such as one of DAVIS 2016 that is in DAVIS 2017 too.

    Two of one name are taken for one, unless frames show otherwise (drawn clips all have the same names).

    Raises:
        UserError: a video is in both; the message names both evaluations.
    """
    for chosen in study.selection:
        mine = _videos(chosen, data)
        for test in study.tests if mine else ():
            others = _videos(test, data)
            if shared := [name for name in mine if name in others and _may_be_one(mine[name], others[name])]:
                raise UserError(
                    f"the trials would be chosen on videos that the tests report: {chosen.name} and {test.name} both hold "
                    f"{_listed(shared)}. Give other data, another split, or other videos to one of them."
                )


def require_items_apart(selection: Sequence[Record | None], tests: Sequence[Record]) -> None:
    """Hold that no item of one annotation chooses a trial and is reported.

    Raises:
        UserError: one is in both; the message names both data sets.
    """
    for chosen in filter(None, selection):
        for test in tests:
            same = chosen.dataset.annotation_sha256 == test.dataset.annotation_sha256
            if same and (shared := sorted(chosen.per_item.keys() & test.per_item.keys())):
                raise UserError(
                    f"the trials were chosen on {len(shared)} of the {test.dataset.item} that the tests report "
                    f"({_listed(shared)}): {chosen.dataset.name} and {test.dataset.name} hold the same. "
                    "Declare other data for `selection`."
                )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _videos(evaluation: Evaluation, data: Path) -> Mapping[str, Path]:
    """Return the videos that an evaluation scores, name -> folder of frames; none of a benchmark of pictures.

    Lists hold names, or a frame and its mask a line (DAVIS 2016).
    """
    if evaluation.benchmark != "davis":
        return {}
    root, options = data / evaluation.data, evaluation.options
    names: dict[str, None] = {}
    for path in sorted(root.glob(f"ImageSets/*/{options.get('split', 'val')}.txt")):
        for line, _ in read_lines(path, "a video's name, or a frame and its mask,"):
            words = [word for word in line.split() if not word.endswith(".png")]
            names |= {Path(word).parent.name if word.endswith(".jpg") else word: None for word in words}
    only, limit = options.get("videos"), options.get("limit")
    kept = [name for name in names if only is None or name in only][: limit if isinstance(limit, int) else None]
    sizes = sorted(root.glob("JPEGImages/*"))
    return {name: next((size / name for size in sizes if (size / name).is_dir()), root / name) for name in kept}


def _may_be_one(mine: Path, other: Path) -> bool:
    """Tell whether two folders may hold one video: a frame of one number looks alike, or none can be compared."""
    for frame in sorted(mine.glob("*.jpg")):
        if (counterpart := other / frame.name).is_file():
            try:
                return bool(np.abs(_small(frame) - _small(counterpart)).mean() < ALIKE)
            except OSError:
                return True
    return True


def _small(path: Path) -> np.ndarray:
    """Return the gray of a frame, (18, 32), as float."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize(SMALL, Image.Resampling.BOX), dtype=float)
