"""A copy of DAVIS 2017 or 2016 on disk, official layout (`eval.davis.edition`), checked before anything is computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.davis.edition import DAVIS_2017, FEWEST, FRAMES, MASKS, Edition, find_edition, find_pictures
from eval.videos import VideoData, check_pictures, find_list, require_folders
from flsl.runtime.errors import UserError
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

    def read_given(self) -> dict[int, np.ndarray]:
        """Return the first annotation: objects that only appear later are not followed."""
        return {0: self.read_first()}

    def to_disk(self, mask: np.ndarray) -> np.ndarray:
        """Return object ids (H, W) uint8 as annotations have them."""
        return 255 * mask if self.edition.one_object else mask


@dataclass(frozen=True)
class Dataset(VideoData[Video]):
    """A split of DAVIS."""

    item = "sequence"
    edition: Edition

    @property
    def benchmark(self) -> str:
        """The edition's."""
        return self.edition.name

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

    def annotations(self) -> Iterable[tuple[str, Path]]:
        """Yield every mask."""
        return ((f"{video.name}/{path.name}", path) for video in self.videos for path in video.masks)


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
    needed = [FRAMES, MASKS, edition.lists] if need_frames else [MASKS, edition.lists]
    require_folders(root, needed, "davis", "DAVIS-2017-trainval-480p")
    path = find_list(root / edition.lists, split, ".txt", "sequence")
    listed = edition.read_list(path).items()
    videos = tuple(_open_video(root, edition, name, numbers, path, need_frames) for name, numbers in listed)
    return Dataset(root, split, videos, read_marker(root), edition)


def _open_video(
    root: Path, edition: Edition, name: str, listed: tuple[int, ...] | None, listed_in: Path, need_frames: bool
) -> Video:
    """Find one sequence and check it; `listed` are the frames that count, None for all."""
    frames, masks = find_pictures(root, name, listed)
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
    if len(numbers) < FEWEST:
        raise UserError(
            f"{root / MASKS / name} has {len(numbers)} annotations: the first and the last frame are not scored, "
            "so a sequence needs three or more."
        )
    size = check_pictures(list(frames.values()), list(masks.values()), edition.modes, edition.kind)
    return Video(name, tuple(masks.values()), tuple(frames.values()), size, edition)
