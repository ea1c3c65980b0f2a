"""What tells DAVIS 2016 from DAVIS 2017: where the lists are and how they read, what a mask holds, which split is official.

DIR/ImageSets/2017/val.txt        a sequence a line; masks are palette PNGs of object ids, 255 = void
DIR/ImageSets/480p/val.txt        2016: a frame and its mask a line; masks are 0 and 255, one object

Frames and masks of both are DIR/JPEGImages/480p/<sequence>/00000.jpg and DIR/Annotations/480p/<sequence>/00000.png.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eval.videos import numbered_pictures
from flsl.confusion import VOID
from flsl.runtime.errors import UserError
from flsl.runtime.files import read_lines
from flsl.runtime.images import read_mask
from flsl.runtime.names import safe_name
from flsl.runtime.text import shorten

FRAMES, MASKS = "JPEGImages/480p", "Annotations/480p"
FEWEST = 3  # frames of a sequence: the first and the last are not scored
Listed = dict[str, "tuple[int, ...] | None"]  # sequence -> the frames that count; None: all that are there
_PAIR = re.compile(
    rf"/?{FRAMES}/(?P<sequence>[^/\s]+)/(?P<number>\d{{5}})\.jpg\s+/?{MASKS}/(?P=sequence)/(?P=number)\.png"
)


@dataclass(frozen=True)
class Official:
    """A split of the benchmark: how many sequences and frames it has, and, where they are evaluated, which."""

    sequences: int
    frames: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edition:
    """One of the two benchmarks that share frames, metrics and protocols."""

    name: str  # beginning of protocols and data sets in records
    lists: str  # folder of the lists of splits
    one_object: bool
    archive: str  # how to get it
    official: dict[str, Official] = field(hash=False)

    @property
    def modes(self) -> tuple[str, ...]:
        """Of masks, as Pillow names them."""
        return ("L",) if self.one_object else ("P",)

    @property
    def kind(self) -> str:
        """What masks are."""
        if self.one_object:
            return "gray PNGs of 0 (background) and 255 (the object)"
        return f"palette PNGs whose index is the object id, 0 being the background and {VOID} void"

    def read_list(self, path: Path) -> Listed:
        """Return the sequences of a list, in order.

        Raises:
            UserError: the list cannot be read, is empty, or a line is not what this edition's lists have.
        """
        expected = "a frame and its mask" if self.one_object else "a sequence's name"
        listed: Listed = {}
        for line, where in read_lines(path, expected):
            for name, frame in self._parse(line, where):
                safe_name(name, "a sequence", where)
                listed[name] = None if frame is None else (*(listed.get(name) or ()), frame)
        if not listed:
            raise UserError(f"{path} lists no sequence; expected one {'frame' if self.one_object else 'name'} a line")
        return listed

    def _parse(self, line: str, where: str) -> list[tuple[str, int | None]]:
        if not self.one_object:
            return [(name, None) for name in line.split()]
        if pair := _PAIR.fullmatch(line):
            return [(pair["sequence"], int(pair["number"]))]
        raise UserError(
            f"{where}: {line[:120]!r} is not a frame and its mask; expected is "
            f"/{FRAMES}/SEQUENCE/00000.jpg /{MASKS}/SEQUENCE/00000.png, as in the 480p lists of DAVIS 2016."
        )

    def read_truth(self, path: Path) -> np.ndarray:
        """Read an annotation as object ids, (H, W) uint8, void being background (docs/protocols.md, "DAVIS metrics").

        Raises:
            UserError: the file is damaged or, where there is one object, holds anything but 0 and 255.
        """
        mask = read_mask(path, modes=self.modes)
        if not self.one_object:
            return np.where(mask == VOID, np.uint8(0), mask)
        ids = (mask == 255).astype(np.uint8)
        if other := set(np.unique(mask[ids == 0]).tolist()) - {0}:
            raise UserError(
                f"{path} holds the values {shorten(sorted(other), 5)}; masks of DAVIS 2016 are 0 (background) "
                "and 255 (the object)."
            )
        return ids

    def read_prediction(self, path: Path) -> np.ndarray:
        """Read a predicted mask as object ids, (H, W) uint8; of one object whatever is not 0."""
        mask = read_mask(path)
        return (mask > 0).astype(np.uint8) if self.one_object else mask


DAVIS_2017 = Edition(
    name="davis2017",
    lists="ImageSets/2017",
    one_object=False,
    archive="DAVIS-2017-trainval-480p.zip from davischallenge.org (DAVIS 2017, TrainVal, 480p)",
    official={
        "val": Official(
            sequences=30,
            frames=1999,
            names=(
                "bike-packing", "blackswan", "bmx-trees", "breakdance", "camel", "car-roundabout", "car-shadow", "cows",
                "dance-twirl", "dog", "dogs-jump", "drift-chicane", "drift-straight", "goat", "gold-fish",
                "horsejump-high", "india", "judo", "kite-surf", "lab-coat", "libby", "loading", "mbike-trick",
                "motocross-jump", "paragliding-launch", "parkour", "pigs", "scooter-black", "shooting", "soapbox",
            ),
        ),
        "train": Official(sequences=60, frames=4209),
    },
)  # fmt: skip

DAVIS_2016 = Edition(
    name="davis2016",
    lists="ImageSets/480p",
    one_object=True,
    archive="DAVIS-data.zip from davischallenge.org (DAVIS 2016, TrainVal)",
    official={
        "val": Official(
            sequences=20,
            frames=1376,
            names=(
                "blackswan", "bmx-trees", "breakdance", "camel", "car-roundabout", "car-shadow", "cows", "dance-twirl",
                "dog", "drift-chicane", "drift-straight", "goat", "horsejump-high", "kite-surf", "libby",
                "motocross-jump", "paragliding-launch", "parkour", "scooter-black", "soapbox",
            ),
        ),
        "train": Official(
            sequences=30,
            frames=2079,
            names=(
                "bear", "bmx-bumps", "boat", "breakdance-flare", "bus", "car-turn", "dance-jump", "dog-agility",
                "drift-turn", "elephant", "flamingo", "hike", "hockey", "horsejump-low", "kite-walk", "lucia",
                "mallard-fly", "mallard-water", "motocross-bumps", "motorbike", "paragliding", "rhino", "rollerblade",
                "scooter-gray", "soccerball", "stroller", "surf", "swing", "tennis", "train",
            ),
        ),
    },
)  # fmt: skip

EDITIONS = (DAVIS_2017, DAVIS_2016)


def find_edition(root: Path) -> Edition:
    """Return the edition whose lists a folder has; 2017 if it has neither.

    Raises:
        UserError: it has both, so nothing says which is meant.
    """
    found = [edition for edition in EDITIONS if (root / edition.lists).is_dir()]
    if len(found) > 1:
        raise UserError(
            f"{root} holds the lists of DAVIS 2017 ({found[0].lists}) and of DAVIS 2016 ({found[1].lists}), whose masks "
            "differ. Keep each in its own folder."
        )
    return found[0] if found else DAVIS_2017


def find_pictures(root: Path, name: str, listed: tuple[int, ...] | None) -> tuple[dict[int, Path], dict[int, Path]]:
    """Return the frames and the masks of a sequence by number, in order; of a list only those that it names."""
    frames = numbered_pictures(root / FRAMES / name, "jpg", "{5}", listed)
    return frames, numbered_pictures(root / MASKS / name, "png", "{5}", listed)
