"""Files of YouTube-VOS: where frames and masks lie, what a mask holds, and where objects appear."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from eval.videos import numbered_pictures
from eval.ytvos.meta import META, Listed
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask
from flsl.runtime.text import shorten

FRAMES, MASKS, TRAIN, ALL_FRAMES = "JPEGImages", "Annotations", "train", "_all_frames"
ARCHIVES = "the archives of valid, valid_all_frames and train of the 2018 version from youtube-vos.org"
MODES = ("P", "L")  # of masks, as Pillow names them
KIND = "palette or gray PNGs whose values are objects' numbers, 0 being the background"


def masks_of(split: str) -> str:
    """Return the split that has a split's masks."""
    return split.removesuffix(ALL_FRAMES)


def find_pictures(root: Path, split: str, name: str) -> tuple[dict[int, Path], dict[int, Path]]:
    """Return the frames and the masks of a video by number, in order. Raises UserError where two have one number."""
    frames = numbered_pictures(root / split / FRAMES / name, "jpg")
    return frames, numbered_pictures(root / masks_of(split) / MASKS / name, "png")


def numbers_in(mask: np.ndarray) -> set[int]:
    """Return the numbers of a mask (H, W) uint8, without the background."""
    return set(np.flatnonzero(np.bincount(mask.ravel())).tolist()) - {0}  # many times faster than sorting all pixels


def find_first(masks: Mapping[int, Path], objects: Iterable[Listed], name: str) -> dict[int, int]:
    """Return the number of the frame that each object of a video appears in: the first whose mask shows it.

    Some are listed a few frames before they are seen. No more masks are read than it takes.

    Args:
        masks: by number of the frame, in order.
        objects: of the video.
        name: of the video.

    Raises:
        UserError: an object is in no mask or before it is listed, or a mask holds what is no object.
    """
    waiting = {listed.number: listed for listed in objects}
    known, found = set(waiting), {}
    for number, path in masks.items():
        if not waiting:
            break
        mask = read_known(path, known, name)
        for seen in sorted(numbers_in(mask) & waiting.keys()):
            if number < (begin := waiting.pop(seen).frames[0]):
                raise UserError(
                    f"{path} shows object {seen}, which {META} lists from frame {begin:05d} of {name} on. Masks and "
                    f"{META} are of one archive: get both again."
                )
            found[seen] = number
    if waiting:
        folder = next(iter(masks.values())).parent if masks else name
        raise UserError(
            f"{folder} holds no mask of object {min(waiting)}, which {META} lists from frame "
            f"{waiting[min(waiting)].frames[0]:05d} on: nothing says what to follow. Get the masks again."
        )
    return found


def read_known(path: Path, known: Iterable[int], name: str) -> np.ndarray:
    """Read a mask (H, W) uint8. Raises UserError where it is none, or holds other numbers than the known ones."""
    mask = read_mask(path, MODES)
    if other := sorted(numbers_in(mask) - set(known)):
        raise UserError(
            f"{path} holds the values {shorten(other, 5)}, but the objects of {name} in {META} are "
            f"{', '.join(map(str, sorted(known)))}. Masks and {META} are of one archive: get both again."
        )
    return mask
