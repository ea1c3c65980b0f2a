"""A copy of DAVIS 2017 or 2016 on disk, official layout (`eval.davis.edition`), checked before anything is computed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.davis.edition import DAVIS_2017, FRAMES, MASKS, Edition, find_edition, numbered_files
from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.images import read_header
from flsl.runtime.marker import read_marker


@dataclass(frozen=True)
class Video:
    """One sequence: its annotations in order, and its frames (none where only masks are needed)."""

    name: str
    masks: tuple[Path, ...]
    frames: tuple[Path, ...]
    size: tuple[int, int]  # height, width
    edition: Edition = DAVIS_2017  # how its masks are read and written

    @property
    def scored_masks(self) -> tuple[Path, ...]:
        """The annotations that count: all but the first and the last."""
        return self.masks[1:-1]

    @property
    def first_is_given(self) -> bool:
        """The first mask is no prediction."""
        return True

    def read_first(self) -> np.ndarray:
        """Return the object ids (H, W) uint8 of the first annotation, void as background."""
        return self.edition.read_truth(self.masks[0])

    def to_disk(self, mask: np.ndarray) -> np.ndarray:
        """Return object ids (H, W) uint8 as annotations have them."""
        return 255 * mask if self.edition.one_object else mask


@dataclass(frozen=True)
class Dataset:
    """A split; `marker` is the content of `dataset.json`, which only synthetic data have."""

    root: Path
    edition: Edition
    split: str
    videos: tuple[Video, ...]
    marker: dict[str, Any] | None

    @property
    def official(self) -> bool:
        """Whether this is the whole official val split, at 480 pixels."""
        official = self.edition.official["val"]
        return (
            self.marker is None
            and self.split == "val"
            and sorted(video.name for video in self.videos) == sorted(official.names)
            and sum(len(video.masks) for video in self.videos) == official.frames
            and all(min(video.size) == 480 for video in self.videos)
        )

    @property
    def name(self) -> str:
        """Name for the record, which tells a part of the benchmark from the whole."""
        if self.marker is not None:
            return self.marker["name"]
        name = f"{self.edition.name}-{self.split}"
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
        if names is not None and not names:
            raise UserError(f"--videos names no sequence; known are {', '.join(sorted(known)[:8])}, ...")
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
    edition = find_edition(root)
    _check_folders(root, [FRAMES, MASKS, edition.lists] if need_frames else [MASKS, edition.lists])
    path = root / edition.lists / f"{split}.txt"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.txt"))) or "none"
        raise UserError(f"{path} is missing: it lists the sequences of the split. Lists found: {there} (--split NAME).")
    listed = edition.read_list(path).items()
    videos = tuple(_open_video(root, edition, name, numbers, path, need_frames) for name, numbers in listed)
    return Dataset(root, edition, split, videos, read_marker(root))


def _check_folders(root: Path, needed: list[str]) -> None:
    if not root.is_dir():
        raise UserError(f"--data {root} is not a folder. Give the one that holds {', '.join(needed)}.")
    if missing := [folder for folder in needed if not (root / folder).is_dir()]:
        inside = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
        raise UserError(
            f"{root} lacks {', '.join(missing)}; found there: {inside}. Expected is the official layout of "
            "DAVIS-2017-trainval-480p. For a try-out, `python -m eval data synthesize davis DIR` draws data."
        )


def _open_video(
    root: Path, edition: Edition, name: str, listed: tuple[int, ...] | None, listed_in: Path, need_frames: bool
) -> Video:
    """Find one sequence and check it; `listed` are the frames that count, None for all."""
    masks = numbered_files(root / MASKS / name, "png", listed)
    frames = numbered_files(root / FRAMES / name, "jpg", listed)
    hint = f"`python -m eval data verify davis {root}` lists all that is wrong."
    for kind, files in (("frames", frames), ("annotations", masks)):
        if not files and (kind == "annotations" or need_frames):
            folder = root / (FRAMES if kind == "frames" else MASKS) / name
            raise UserError(f"{folder} holds no {kind}, but {listed_in} lists the sequence. {hint}")
    numbers = sorted(listed or frames or masks)
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
    size = _check_pictures(list(frames.values()), list(masks.values()), edition)
    return Video(name, tuple(masks.values()), tuple(frames.values()), size, edition)


def _check_pictures(frames: list[Path], masks: list[Path], edition: Edition) -> tuple[int, int]:
    """Check kinds and sizes by the files' headers; returns (height, width)."""
    mode = "L" if edition.one_object else "P"
    expected: tuple[int, int] | None = None
    for path in [*frames, *masks]:
        size, found = read_header(path)
        if path.suffix == ".png" and found != mode:
            raise UserError(
                f"{path} is a picture of mode {found}, not a "
                + (
                    "gray one (L). Masks of DAVIS 2016 are 0 (background) and 255 (the object)."
                    if edition.one_object
                    else "palette PNG. Expected is one byte a pixel that is the object's id (0 background, 255 void); "
                    "colors carry no ids."
                )
            )
        expected = expected or size
        if size != expected:
            raise UserError(
                f"{path} has {size[0]}x{size[1]} pixels, but {(frames or masks)[0]} has {expected[0]}x{expected[1]}. "
                "All frames and masks of a sequence have one size: take them from the same archive (480p)."
            )
    assert expected is not None  # a video has masks
    return expected[1], expected[0]
