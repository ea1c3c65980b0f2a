"""What every data set of segmentation comes down to: images, and maps of class numbers with 255 for void."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from flsl.confusion import VOID
from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.files import LARGEST_LIST, digest_of_files, read_file
from flsl.runtime.images import ImageError, check_image, read_mask, read_rgb
from flsl.runtime.names import require_text

MOST_CLASSES = VOID  # numbers 0..254
UNKNOWN = -1  # in a table: no number of this layout's masks


class Truth(Protocol):
    """Where the masks of a split come from."""

    def read(self, index: int) -> np.ndarray:
        """Return the mask of an image, (H, W) uint8: class 0..C-1, 255 = void."""

    def source(self, index: int) -> Path:
        """Return the file that a mask is in, for messages."""

    def digest(self) -> str:
        """Return a hexadecimal sha256 of all masks."""


@dataclass(frozen=True)
class MaskFiles:
    """Masks as pictures, one file per image, whose bytes are the layout's own numbers.

    `table` (256,) int16 gives each number's class, 255 for void, `UNKNOWN` for what no mask may hold.
    """

    root: Path
    paths: tuple[Path, ...]
    table: np.ndarray

    def read(self, index: int) -> np.ndarray:
        """Read a mask. Raises UserError: no picture of numbers, or a number that is no class of the data set."""
        path = self.paths[index]
        try:
            stored = read_mask(path)
        except ImageError as error:
            what, other_mode, _ = error.reason.partition(" instead of palette")
            advice = "colors have to be turned into numbers first" if other_mode else "get the file again"
            if what.endswith((" 1", " I", " I;16", " F")):
                advice = "save it with 8 bits per pixel"
            raise UserError(
                f"{path} is no mask: {what}. Expected is a PNG with one byte per pixel (gray or palette) that is the "
                f"class's number; {advice}."
            ) from error
        mask = self.table[stored]
        if mask.min() == UNKNOWN:
            wrong = np.unique(stored[mask == UNKNOWN]).tolist()
            known = np.flatnonzero(self.table != UNKNOWN).tolist()
            raise UserError(
                f"{path} holds {some_numbers(wrong)}, of which this data set knows nothing: its masks hold "
                f"{some_numbers(known)}. Is it a mask of another layout, a picture of gray levels, or a JPEG?"
            )
        return mask.astype(np.uint8)

    def source(self, index: int) -> Path:
        """Return the mask's own file."""
        return self.paths[index]

    def digest(self) -> str:
        """Hash names and bytes of all masks, and what their numbers mean."""
        files = digest_of_files(self.root, self.paths, contents=True)
        return hashlib.sha256(files.encode() + self.table.tobytes()).hexdigest()


@dataclass(frozen=True)
class Split:
    """Images of a split with their masks; nothing is read before it is asked for.

    Attributes:
        root: folder of the data, for digests.
        name: of the split.
        names: of the images, unique and in a fixed order; they may lead through folders (`aachen/0001`).
        images: their files.
        truth: their masks.
        spare: masks of this split that have no image.
    """

    root: Path
    name: str
    names: tuple[str, ...]
    images: tuple[Path, ...]
    truth: Truth
    spare: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> np.ndarray:
        """Read an image, (H, W, 3) uint8 RGB. Raises ImageError."""
        return read_rgb(self.images[index])

    def mask(self, index: int) -> np.ndarray:
        """Read a mask, (H, W) uint8: class 0..C-1, 255 = void.

        Raises:
            UserError: it cannot be read, holds numbers that are no classes, or is not of its image's size.
        """
        mask = self.truth.read(index)
        (height, width), size = mask.shape, check_image(self.images[index], whole=False)
        if size != (width, height):
            raise UserError(
                f"{self.truth.source(index)}: the mask of {self.names[index]} has {width}x{height} pixels, but its image "
                f"{self.images[index]} has {size[0]}x{size[1]}. Every pixel needs a class: take both from one archive."
            )
        return mask

    def digest(self) -> str:
        """Return a hexadecimal sha256 that tells this split's images and masks from others."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return f"{digest_of_files(self.root, self.images, contents=False)[:32]}{self.truth_digest[:32]}"

    @cached_property
    def truth_digest(self) -> str:
        """Hexadecimal sha256 of the masks alone, which are read for it once."""
        return self.truth.digest()


@dataclass(frozen=True)
class SegmentationData:
    """A data set: its splits are opened when they are asked for, and then kept.

    Attributes:
        root: its folder.
        name: of the layout: voc2012, ade20k, coco-things, coco-stuff, cityscapes, camvid, folder.
        classes: names of class 0..C-1.
        train: name of the split that is learned from.
        val: name of the split that is evaluated.
        open_split: opens a split by its name.
        official: images of the whole data set's splits.
        marker: content of `dataset.json`, which only drawn data have.
    """

    root: Path
    name: str
    classes: tuple[str, ...]
    train: str
    val: str
    open_split: Callable[[str], Split] = field(repr=False)
    official: dict[str, int]
    marker: dict[str, Any] | None = None

    @cached_property
    def _opened(self) -> dict[str, Split]:
        return {}

    def split(self, name: str) -> Split:
        """Return a split. Raises UserError: there is none of this name, or its files are not as they should be."""
        if name not in self._opened:
            self._opened[name] = self.open_split(name)
            require_text(self._opened[name].names if name == self.val else (), self.root)
        return self._opened[name]

    def is_official(self, name: str) -> bool:
        """Tell whether a split is the whole official one."""
        return self.marker is None and self.official.get(name) == len(self.split(name))

    def record_name(self, name: str) -> str:
        """Return what a record calls a split: drawn data and parts of a data set are told from the whole.

        What is evaluated is also told from the same images after learning from others than the official ones.
        """
        if self.marker is not None:
            return f"{self.marker['name']}-{name}"
        parts = []
        if name in self.official and not self.is_official(name):
            parts.append(f"{len(self.split(name))} images")
        if name == self.val and self.official and not self.is_official(self.train):
            parts.append(f"learned from {len(self.split(self.train))}")
        return f"{self.name}-{name}" + (f" ({', '.join(parts)})" if parts else "")


def table_of(numbers: dict[int, int]) -> np.ndarray:
    """Return the table (256,) int16 of `MaskFiles`: the numbers given, 255 as void, nothing else."""
    table = np.full(256, UNKNOWN, np.int16)
    table[VOID] = VOID
    for number, label in numbers.items():
        table[number] = label
    return table


def pair(
    root: Path, name: str, images: dict[str, Path], masks: dict[str, Path], table: np.ndarray, expected: Path
) -> Split:
    """Return a split of images and mask files of the same names; masks without an image are only kept in mind.

    Args:
        root: folder of the data.
        name: of the split.
        images: name -> file, in order.
        masks: name -> file; may hold more.
        table: see `MaskFiles`.
        expected: the mask that the first image needs, for the message.

    Raises:
        UserError: no image, or images without a mask.
    """
    if not images:
        raise UserError(f"the split {name} of {root} has no image. Expected are images with masks such as {expected}.")
    missing = [key for key in images if key not in masks]
    if missing:
        first = images[missing[0]]
        raise UserError(
            f"{len(missing)} of {len(images)} images of the split {name} have no mask, e.g. {first}: expected is "
            f"{str(expected).replace('NAME', Path(missing[0]).name)}. Copy the masks there, or take the images out."
        )
    files = MaskFiles(root, tuple(masks[key] for key in images), table)
    spare = tuple(path for key, path in masks.items() if key not in images)
    return Split(root, name, tuple(images), tuple(images.values()), files, spare)


def unknown_split(name: str, splits: list[str], root: Path) -> UserError:
    """Return the error for a split that is not there."""
    return UserError(f"{root}: {unknown_key(f'the split {name!r}', name, splits, 'split of this data set')}")


def read_classes(path: Path) -> tuple[str, ...]:
    """Read a class list: one name per line, the first is class 0.

    Raises:
        UserError: no such file, no text, an empty or repeated name, or more classes than a byte holds beside void.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: it lists the classes, one name per line, the first being class 0.")
    try:
        lines = read_file(path, LARGEST_LIST).decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} cannot be read as text ({error}). Expected is one class name per line.") from error
    names = tuple(line.strip() for line in lines)
    for number, name in enumerate(names, start=1):
        if not name or not name.isprintable() or name in names[: number - 1]:
            what = "is empty" if not name else "repeats a name" if name.isprintable() else "is no text"
            raise UserError(f"{path}, line {number} {what}. Expected is one class name per line, each once.")
    if not 1 <= len(names) <= MOST_CLASSES:
        raise UserError(f"{path} lists {len(names)} classes; a mask of bytes holds 1 to {MOST_CLASSES} and void (255).")
    return names


def some_numbers(numbers: list[int]) -> str:
    """Return sorted numbers as text, with runs as ranges: `0..10, 255`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [f"{first}" if first == last else f"{first}..{last}" for first, last in runs]
    return ", ".join(shown[:8]) + (f", ... ({len(numbers)} numbers)" if len(shown) > 8 else "")
