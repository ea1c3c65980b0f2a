"""A copy of DAVIS 2017 on disk, official layout, checked before anything is computed.

DIR/ImageSets/2017/val.txt
DIR/JPEGImages/480p/<sequence>/00000.jpg
DIR/Annotations/480p/<sequence>/00000.png
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.marker import read_marker
from flsl.runtime.names import safe_name

FRAMES, MASKS, LISTS = "JPEGImages/480p", "Annotations/480p", "ImageSets/2017"
OFFICIAL_FRAMES = 1999
OFFICIAL_VAL = (
    "bike-packing", "blackswan", "bmx-trees", "breakdance", "camel", "car-roundabout", "car-shadow", "cows",
    "dance-twirl", "dog", "dogs-jump", "drift-chicane", "drift-straight", "goat", "gold-fish", "horsejump-high",
    "india", "judo", "kite-surf", "lab-coat", "libby", "loading", "mbike-trick", "motocross-jump",
    "paragliding-launch", "parkour", "pigs", "scooter-black", "shooting", "soapbox",
)  # fmt: skip
_VERIFY = "`python -m eval data verify davis {root}` lists all that is wrong."


@dataclass(frozen=True)
class Video:
    """One sequence: its annotations in order, and its frames (none where only masks are needed)."""

    name: str
    masks: tuple[Path, ...]
    frames: tuple[Path, ...]
    size: tuple[int, int]  # height, width

    @property
    def scored_masks(self) -> tuple[Path, ...]:
        """The annotations that count: all but the first and the last."""
        return self.masks[1:-1]


@dataclass(frozen=True)
class Dataset:
    """A split; `marker` is the content of `dataset.json`, which only synthetic data have."""

    root: Path
    split: str
    videos: tuple[Video, ...]
    marker: dict[str, Any] | None

    @property
    def official(self) -> bool:
        """Whether this is the whole official val split, at 480 pixels."""
        return (
            self.marker is None
            and self.split == "val"
            and sorted(video.name for video in self.videos) == sorted(OFFICIAL_VAL)
            and sum(len(video.masks) for video in self.videos) == OFFICIAL_FRAMES
            and all(min(video.size) == 480 for video in self.videos)
        )

    @property
    def name(self) -> str:
        """Name for the record, which tells a part of the benchmark from the whole."""
        if self.marker is not None:
            return self.marker["name"]
        name = f"davis2017-{self.split}"
        count = len(self.videos)
        return name if self.official else f"{name} ({count} sequence{'s' * (count > 1)})"

    def annotation_sha256(self) -> str:
        """Return one hash over the names and bytes of all annotations."""
        digest = hashlib.sha256()
        for video in self.videos:
            for path in video.masks:
                digest.update(f"{video.name}/{path.name}\0".encode() + path.read_bytes())
        return digest.hexdigest()

    def choose(self, names: Sequence[str] | None = None, limit: int | None = None) -> list[Video]:
        """Return the videos with the given names (all if None), at most `limit` of them.

        Raises UserError for a name that the split does not have, naming the nearest one.
        """
        known = {video.name: video for video in self.videos}
        for name in names or ():
            if name not in known:
                raise UserError(unknown_key(f"--videos {name}", name, known))
        if limit is not None and limit < 1:
            raise UserError(f"--limit {limit} leaves no video; give 1 or more")
        return [video for video in self.videos if names is None or video.name in names][:limit]


def open_dataset(root: Path, split: str = "val", need_frames: bool = True) -> Dataset:
    """Find the sequences of a split and check their files by name, size and kind.

    Args:
        root: folder with JPEGImages, Annotations and ImageSets.
        split: val or train.
        need_frames: False where masks are scored only; frames may be absent then.

    Raises:
        UserError: a folder, list, frame or annotation is missing, the numbering has a gap, an annotation is no palette
            PNG or has another size than its frame. The message names the file.
    """
    _check_folders(root, need_frames)
    path = root / LISTS / f"{split}.txt"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.txt"))) or "none"
        raise UserError(f"{path} is missing: it lists the sequences of the split. Lists found: {there} (--split NAME).")
    names = list(dict.fromkeys(path.read_text(errors="replace").split()))
    for name in names:
        safe_name(name, "a sequence", path)
    if not names:
        raise UserError(f"{path} lists no sequence; expected one name a line")
    videos = tuple(_open_video(root, name, path, need_frames) for name in names)
    return Dataset(root, split, videos, read_marker(root))


def _check_folders(root: Path, need_frames: bool) -> None:
    needed = [FRAMES, MASKS, LISTS] if need_frames else [MASKS, LISTS]
    if not root.is_dir():
        raise UserError(f"--data {root} is not a folder. Give the one that holds {', '.join(needed)}.")
    if missing := [folder for folder in needed if not (root / folder).is_dir()]:
        inside = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
        raise UserError(
            f"{root} lacks {', '.join(missing)}; found there: {inside}. Expected is the official layout of "
            "DAVIS-2017-trainval-480p. For a try-out, `python -m eval data synthesize davis DIR` draws data."
        )


def _open_video(root: Path, name: str, listed_in: Path, need_frames: bool) -> Video:
    """Find one sequence and check it."""
    masks = _numbered(root / MASKS / name, "png")
    frames = _numbered(root / FRAMES / name, "jpg")
    hint = _VERIFY.format(root=root)
    for kind, files in (("frames", frames), ("annotations", masks)):
        if not files and (kind == "annotations" or need_frames):
            folder = root / (FRAMES if kind == "frames" else MASKS) / name
            raise UserError(f"{folder} holds no {kind}, but {listed_in} lists the sequence. {hint}")
    numbers = sorted(frames) if frames else sorted(masks)
    first, last = numbers[0], numbers[-1]
    for number in range(first, last + 1):
        stem = f"{number:05d}"
        if frames and number not in frames:
            raise UserError(f"{root / FRAMES / name / stem}.jpg is missing: the frame numbers have a gap. {hint}")
        if number not in masks:
            why = "nothing can be followed without the first annotation" if number == first else "every frame needs one"
            raise UserError(f"{root / MASKS / name / stem}.png is missing: {why}. {hint}")
    if extra := sorted(set(masks) - set(range(first, last + 1))):
        raise UserError(f"{masks[extra[0]]} is an annotation without a frame. Delete it or add the frame. {hint}")
    if len(numbers) < 3:
        raise UserError(
            f"{root / MASKS / name} has {len(numbers)} annotations: the first and the last frame are not scored, "
            "so a sequence needs three or more."
        )
    size = _check_pictures(list(frames.values()), list(masks.values()))
    return Video(name, tuple(masks.values()), tuple(frames.values()), size)


def _numbered(folder: Path, suffix: str) -> dict[int, Path]:
    """The files whose names are frame numbers, by number."""
    files = (path for path in folder.glob(f"*.{suffix}") if path.stem.isdecimal())
    return dict(sorted((int(path.stem), path) for path in files))


def _check_pictures(frames: list[Path], masks: list[Path]) -> tuple[int, int]:
    """Check kinds and sizes by the files' headers; returns (height, width)."""
    expected: tuple[int, int] | None = None
    for path in [*frames, *masks]:
        try:
            with Image.open(path) as image:
                size, mode = image.size, image.mode
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error}). Replace the file.") from error
        if path.suffix == ".png" and mode != "P":
            raise UserError(
                f"{path} is a picture of mode {mode}, not a palette PNG. Expected is one byte a pixel that is the "
                "object's id (0 background, 255 void); colors carry no ids."
            )
        expected = expected or size
        if size != expected:
            raise UserError(
                f"{path} has {size[0]}x{size[1]} pixels, but {(frames or masks)[0]} has {expected[0]}x{expected[1]}. "
                "All frames and masks of a sequence have one size: take them from the same archive (480p)."
            )
    assert expected is not None  # a video has masks
    return expected[1], expected[0]
