"""A copy of YouTube-VOS 2018 on disk, official layout, checked before anything is computed.

DIR/valid/meta.json                              `eval.ytvos.meta`
DIR/valid/JPEGImages/<video>/<number>.jpg        every fifth frame
DIR/valid/Annotations/<video>/<number>.png       palette PNG, the index is the object's number
DIR/train/...                                    the same; its categories are the seen ones
DIR/valid_all_frames/JPEGImages/<video>/...      every frame; masks and meta.json are those of valid/

The official valid/ has a mask only where an object appears, of that object alone: what is true later is the server's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from eval.progress import tracked
from eval.videos import VideoData, check_pictures, require_folders
from eval.ytvos.files import (
    FRAMES,
    KIND,
    MASKS,
    MODES,
    TRAIN,
    find_first,
    find_pictures,
    masks_of,
    read_known,
)
from eval.ytvos.meta import META, Listed, categories_of, read_meta
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask
from flsl.runtime.marker import read_marker
from flsl.runtime.names import safe_name

OFFICIAL = {"valid": (474, 894), TRAIN: (3471, 5945)}  # videos and objects of the 2018 version


@dataclass(frozen=True)
class Object:
    """One object: its number, its category, and the index of the frame that it appears and is given in."""

    number: int
    category: str
    first: int


@dataclass(frozen=True)
class Video:
    """One video.

    Attributes:
        name: of its folders.
        frames: in order; none where only masks are needed.
        masks: one a frame (without frames: one a frame that an object is listed in, or has a mask); which are there says
            `eval.ytvos.data.Dataset.has_truth`, but for those of `objects`' first frames, which all are.
        size: height, width.
        objects: by number.
        listed: indices of the frames that some object is listed in: those that are submitted and scored.
    """

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    size: tuple[int, int]
    objects: tuple[Object, ...]
    listed: tuple[int, ...]

    @property
    def scored(self) -> tuple[int, ...]:
        """Indices of the listed frames after the first object's first one."""
        start = min(one.first for one in self.objects)
        return tuple(index for index in self.listed if index > start)

    @property
    def first_is_given(self) -> bool:
        """The first mask is no prediction."""
        return True

    def read_given(self) -> dict[int, np.ndarray]:
        """Return the numbers (H, W) uint8 of the objects that appear in a frame, theirs alone, by the frame's index."""
        given = {}
        for index in sorted({one.first for one in self.objects}):
            mask = read_mask(self.masks[index], MODES)
            new = [one.number for one in self.objects if one.first == index]
            given[index] = np.where(np.isin(mask, new), mask, np.uint8(0))
        return given

    def read_truth(self, index: int) -> np.ndarray:
        """Return the numbers (H, W) uint8 of a frame's annotation. UserError where one is no object's of this video."""
        return read_known(self.masks[index], [one.number for one in self.objects], self.name)

    def to_disk(self, mask: np.ndarray) -> np.ndarray:
        """Return numbers (H, W) uint8 as annotations have them."""
        return mask


@dataclass(frozen=True)
class Dataset(VideoData[Video]):
    """A split of YouTube-VOS; `has_truth` says whether masks of all listed frames are at hand, so that it can be scored."""

    benchmark = "ytvos2018"
    has_truth: bool

    @property
    def official(self) -> bool:
        """Whether this is the whole official validation split, with either frames."""
        return (
            self.marker is None
            and masks_of(self.split) == "valid"
            and (len(self.videos), sum(len(video.objects) for video in self.videos)) == OFFICIAL["valid"]
        )

    @cached_property
    def seen(self) -> frozenset[str]:
        """The categories of the training split. UserError where its meta.json is missing or damaged."""
        path = self.root / TRAIN / META
        if not path.exists():
            raise UserError(
                f"{path} is missing: which categories are seen in training, and so how objects are averaged, stands there. "
                f"Get it from the archive of {TRAIN}; nothing else of {TRAIN}/ is needed."
            )
        return categories_of(read_meta(path))

    def require_categories(self) -> None:
        """Raise UserError where nothing says of an object whether its category is seen in training."""
        if self.seen and (bare := [(v.name, one.number) for v in self.videos for one in v.objects if not one.category]):
            path = self.root / masks_of(self.split) / META
            raise UserError(
                f"{path}, video {bare[0][0]}, object {bare[0][1]} has no category; scoring needs one of each object."
            )

    def annotations(self) -> Iterable[tuple[str, Path]]:
        """Yield meta.json (and of a scored split that of train/) and every mask that is there."""
        splits = {masks_of(self.split), TRAIN} if self.has_truth else {masks_of(self.split)}
        yield from ((f"{split}/{META}", self.root / split / META) for split in sorted(splits))
        for video in self.videos:
            yield from ((f"{video.name}/{path.name}", path) for path in video.masks if path.is_file())


def open_ytvos(root: Path, split: str = "valid", need_frames: bool = True) -> Dataset:
    """Find the videos of a split, check their files by number, size and kind, and find out where each object appears.

    Args:
        root: folder of the splits.
        split: valid, train, or one with `_all_frames`, whose masks are those of the split without it.
        need_frames: False where masks are scored only; frames may be absent then.

    Raises:
        UserError: a folder, frame or mask is missing, meta.json is damaged, masks and it disagree on the objects, or a mask
            is none or has another size than its frame. The message names the file.
    """
    safe_name(split, "a split", "--split")
    annotated = masks_of(split)
    needed = [f"{split}/{FRAMES}", f"{annotated}/{MASKS}"] if need_frames else [f"{annotated}/{MASKS}"]
    require_folders(root, needed, "ytvos", "YouTube-VOS (--split chooses another folder than valid)")
    meta = read_meta(root / annotated / META)
    sources = [_Source(root, split, name, objects, need_frames) for name, objects in meta.items()]
    has_truth = _has_truth(sources)
    videos = tuple(source.open() for source in tracked(sources, "reading masks: video", len(sources)))
    dataset = Dataset(root, split, videos, read_marker(root), has_truth)
    if has_truth:
        dataset.require_categories()
    return dataset


class _Source:
    """One video as it is found, before its masks are read."""

    def __init__(self, root: Path, split: str, name: str, objects: tuple[Listed, ...], need_frames: bool):
        """Find its files and check that they are there."""
        self.name, self.objects = name, objects
        self.folder = root / masks_of(split) / MASKS / name
        self.hint = f"`python -m eval data verify ytvos {root}` lists all that is wrong."
        self.frames, self.masks = find_pictures(root, split, name)
        self.listed = sorted({number for listed in objects for number in listed.frames})
        place = root / split / FRAMES / name
        if need_frames and not self.frames:
            raise UserError(f"{place} holds no frames NUMBER.jpg, but {META} lists the video. {self.hint}")
        if not self.masks:
            raise UserError(f"{self.folder} holds no masks NUMBER.png, but {META} lists the video. {self.hint}")
        for number in [*self.listed, *self.masks] if self.frames else []:
            if number not in self.frames:
                why = f"{self.masks[number]} has no frame" if number in self.masks else f"{META} lists it"
                raise UserError(f"{place / f'{number:05d}'}.jpg is missing: {why}. {self.hint}")

    @property
    def missing(self) -> list[Path]:
        """Masks of listed frames that are not there."""
        return [self._mask(number) for number in self.listed if number not in self.masks]

    @property
    def shows_more(self) -> bool:
        """Whether some mask shows no object for the first time: it is there to be scored."""
        others = self.masks.keys() - {listed.frames[0] for listed in self.objects}
        return bool(others) and not others <= set(self._first.values())

    @cached_property
    def _first(self) -> dict[int, int]:
        return find_first(self.masks, self.objects, self.name)

    def open(self) -> Video:
        """Check sizes and kinds, and find out where each object appears."""
        size = check_pictures(list(self.frames.values()), list(self.masks.values()), MODES, KIND)
        numbers = sorted(self.frames or {*self.listed, *self.masks})
        at = {number: index for index, number in enumerate(numbers)}
        objects = tuple(Object(one.number, one.category, at[self._first[one.number]]) for one in self.objects)
        masks = tuple(self.masks.get(number) or self._mask(number) for number in numbers)
        return Video(
            self.name, tuple(self.frames.values()), masks, size, objects, tuple(at[number] for number in self.listed)
        )

    def _mask(self, number: int) -> Path:
        """Return where the mask of a frame would be: beside the frame's name, where there is one."""
        stem = self.frames[number].stem if number in self.frames else f"{number:05d}"
        return self.folder / f"{stem}.png"


def _has_truth(sources: Iterable[_Source]) -> bool:
    """Tell whether every listed frame has its mask. Raises UserError where only some have though objects are there before."""
    lacking = [source for source in sources if source.missing]
    if lacking and (more := next((source for source in sources if source.shows_more), None)):
        raise UserError(
            f"{lacking[0].missing[0]} is missing, but masks of other frames are there in which no object appears, such as some "
            f"of {more.name}: ground truth has to be whole. {lacking[0].hint}"
        )
    return not lacking
