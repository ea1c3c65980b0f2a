"""What the frames and masks of one video must agree in: numbers without a gap, one size, masks as large as their frames."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eval.data.verify.files import Picture
from eval.data.verify.report import Report
from flsl.runtime.errors import UserError
from flsl.runtime.images import ImageError


@dataclass
class Video:
    """One video: the paths of its frames and masks by number, and what the frames are once they are read."""

    name: str
    split: str
    frames: dict[int, Path]
    masks: dict[int, Path]
    pictures: dict[int, Picture] = field(default_factory=dict)


@dataclass(frozen=True)
class Mask(Picture):
    """Size and ids (without background) of a mask, or what is wrong with it."""

    ids: frozenset[int] = frozenset()


def find_videos(
    report: Report,
    names: Iterable[str],
    split: str,
    find: Callable[[str], tuple[dict[int, Path], dict[int, Path]]],
    get: str,
) -> list[Video]:
    """Return the videos whose frames and masks `find` can tell apart; of others it is reported what it says."""
    videos = []
    for name in names:
        try:
            videos.append(Video(name, split, *find(name)))
        except UserError as error:
            report.problem(name, str(error), get)
    return videos


def read_mask(read_truth: Callable[[Path], np.ndarray], path: Path) -> Mask:
    """Read a mask by the benchmark's own reader, which returns ids (H, W) uint8."""
    try:
        index = read_truth(path)
    except ImageError as error:
        return Mask(error=error.reason)
    except UserError as error:
        return Mask(error=str(error))
    ids = np.flatnonzero(np.bincount(index.ravel(), minlength=256)).tolist()
    return Mask(index.shape[1], index.shape[0], ids=frozenset(ids) - {0})


def check_numbers(report: Report, folder: Path, found: Collection[int], form: str, get: str) -> None:
    """Report gaps in the numbers of frames, which count from 1; `form` makes a file's name of a number."""
    if not found:
        report.problem(folder, f"no frame {form.format(1)}, {form.format(2)}, ...", get)
    if 0 in found:
        first = form.format(1)
        report.problem(folder / form.format(0), "frames count from 1", f"Number the frames from {first}. {get}")
    for number in range(1, max(found, default=0) + 1):
        if number not in found:
            report.problem(folder / form.format(number), "the frame is missing", get)


def check_frames(
    report: Report, frames: Mapping[int, Path], pictures: Mapping[int, Picture], get: str
) -> Picture | None:
    """Report unreadable frames and frames of another size than most; returns one of the size of most, if any is readable."""
    readable = Counter(picture for picture in pictures.values() if not picture.error)
    common = max(readable, key=readable.__getitem__, default=None)
    for number, picture in pictures.items():
        if picture.error:
            report.problem(frames[number], picture.error, f"Replace the frame. {get}")
        elif common and picture != common:
            text = f"{picture.size} where most frames are {common.size}"
            report.problem(frames[number], text, f"All frames of a sequence have one size. {get}")
    return common


def check_mask(report: Report, path: Path, mask: Mask, frame: Picture, kind: str, get: str) -> bool:
    """Report a mask that is unreadable or of another size than its frame; returns whether it was read.

    `kind` says what masks are.
    """
    if mask.error:
        report.problem(path, mask.error, f"Masks are {kind}. {get}")
        return False
    if not frame.error and mask.size != frame.size:
        text = f"{mask.size}, but its frame is {frame.size}"
        report.problem(path, text, f"Take frames and masks from the same archive. {get}")
    return True
