"""What data of videos in folders of numbered pictures share: how they are found, their lists, sizes and names in records."""

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from eval.propagation.video import Video
from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.files import inside, read_lines
from flsl.runtime.images import read_header
from flsl.runtime.text import shorten

V = TypeVar("V", bound=Video)


@dataclass(frozen=True)
class VideoData(Generic[V]):
    """A split of a benchmark; `marker` is the content of `dataset.json`, which only drawn data have."""

    item: ClassVar[str] = "video"

    root: Path
    split: str
    videos: tuple[V, ...]
    marker: dict[str, Any] | None

    @property
    def benchmark(self) -> str:
        """The beginning of its protocols and of its name in records."""
        raise NotImplementedError

    @property
    def official(self) -> bool:
        """Whether this is the whole of what the benchmark evaluates."""
        raise NotImplementedError

    def annotations(self) -> Iterable[tuple[str, Path]]:
        """Yield the files that say what is true, each with the name that stands for it in `annotation_sha256`."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Name for the record, which tells a part of the benchmark from the whole."""
        if self.marker is not None:
            return self.marker["name"]
        name = f"{self.benchmark}-{self.split}"
        count = len(self.videos)
        return name if self.official else f"{name} ({count} {self.item}{'s' * (count > 1)})"

    @functools.cached_property
    def annotation_sha256(self) -> str:
        """One hash over the names and bytes of all annotations, as they are when it is first asked for."""
        digest = hashlib.sha256()
        for name, path in self.annotations():
            digest.update(f"{name}\0".encode() + path.read_bytes())
        return digest.hexdigest()

    def choose(self, limit: int | None = None, names: Sequence[str] | None = None) -> list[V]:
        """Return the videos with the given names (all if None), at most `limit` of them.

        Raises UserError for a limit below 1, no name, or a name that the split does not have, naming the nearest one.
        """
        known = [video.name for video in self.videos]
        if names is not None and not names:
            raise UserError(f"--videos names no {self.item}; known are {shorten(sorted(known))}")
        for name in names or ():
            if name not in known:
                raise UserError(unknown_key(f"--videos {name}", name, known))
        if limit is not None and limit < 1:
            raise UserError(f"--limit {limit} leaves no {self.item}; give 1 or more")
        return [video for video in self.videos if names is None or video.name in names][:limit]


def require_folders(root: Path, needed: Sequence[str], benchmark: str, layout: str) -> None:
    """Raise UserError unless a data folder has the ones that are needed; `layout` names what it should be a copy of."""
    if not root.is_dir():
        raise UserError(f"--data {root} is not a folder. Give the one that holds {', '.join(needed)}.")
    if missing := [folder for folder in needed if not (root / folder).is_dir()]:
        raise UserError(
            f"{root} lacks {', '.join(missing)}; found there: {inside(root)}. Expected is the official layout of {layout}. "
            f"For a try-out, `python -m eval data synthesize {benchmark} DIR` draws data."
        )


def find_list(folder: Path, split: str, ending: str, item: str) -> Path:
    """Return the list of a split. Raises UserError, naming those that are there, where it is none of the folder's own."""
    found = {path.name.removesuffix(ending): path for path in folder.glob(f"[!.]*{ending}") if path.is_file()}
    if split not in found:
        raise UserError(
            f"{folder / f'{split:.80}{ending}'} is missing: it lists the {item}s of the split. "
            f"Lists found: {', '.join(sorted(found)) or 'none'} (--split NAME)."
        )
    return found[split]


def read_names(path: Path, parse: Callable[[str, str], Iterable[str]], expected: str) -> list[str]:
    """Return the names that a list gives, in order.

    Args:
        path: the list.
        parse: gets a line and where it is, and returns the names that it gives.
        expected: of a line, for messages.

    Raises:
        UserError: the list cannot be read, or gives a name twice.
    """
    names = [name for line, where in read_lines(path, expected) for name in parse(line, where)]
    if twice := next((name for name, times in Counter(names).items() if times > 1), None):
        raise UserError(f"{path} lists {twice} twice. Delete one of the lines.")
    return names


def numbered_pictures(
    folder: Path, suffix: str, digits: str = "+", listed: Collection[int] | None = None
) -> dict[int, Path]:
    """Return the files of a folder that are named by a number, by number, in order; others are none of the video's.

    Args:
        folder: one that need not be there.
        suffix: jpg or png; in capitals it is the same.
        digits: of a name, as a regular expression counts them: "+" for any, "{5}" for five.
        listed: the numbers that count; None for all.

    Raises:
        UserError: two files have one number.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("[0-9]*")):
        if not re.fullmatch(rf"[0-9]{digits}\.({suffix}|{suffix.upper()})", path.name):
            continue
        number = int(path.stem)
        if number in found:
            raise UserError(f"{path} and {found[number].name} are both number {number}. Delete one of them.")
        found[number] = path
    return {number: found[number] for number in sorted(found) if listed is None or number in listed}


def check_pictures(
    frames: Sequence[Path], masks: Sequence[Path] = (), modes: Sequence[str] = (), kind: str = ""
) -> tuple[int, int]:
    """Return the (height, width) of all pictures of a video, of which there is one, by their headers.

    Args:
        frames: of the video.
        masks: of the video.
        modes: Pillow's, P or L, of which masks are one.
        kind: says what masks are.

    Raises:
        UserError: one cannot be read or has another size than the first, or a mask has another mode.
    """
    headers = [(path, *read_header(path)) for path in (*frames, *masks)]
    for path, _, mode in headers[len(frames) :]:
        if mode not in modes:
            wanted = " or ".join({"P": "palette", "L": "gray"}[mode] for mode in modes)
            raise UserError(
                f"{path} is a picture of mode {mode}, not a {wanted} one. Masks are {kind}; colors carry no ids."
            )
    first, expected, _ = headers[0]
    for path, size, _ in headers:
        if size != expected:
            raise UserError(
                f"{path} has {size[0]}x{size[1]} pixels, but {first} has {expected[0]}x{expected[1]}. "
                "All pictures of a video have one size: take them from the same archive."
            )
    return expected[1], expected[0]
