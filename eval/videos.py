"""What data of videos share that are folders of numbered pictures: finding them, their sizes, their lists, their names in records."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from flsl.runtime.errors import UserError
from flsl.runtime.images import read_header

V = TypeVar("V")


@dataclass(frozen=True)
class VideoData(Generic[V]):
    """A split of a benchmark; `marker` is the content of `dataset.json`, which only drawn data have."""

    benchmark: ClassVar[str]
    item: ClassVar[str] = "video"

    root: Path
    split: str
    videos: tuple[V, ...]
    marker: dict[str, Any] | None

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

    def annotation_sha256(self) -> str:
        """Return one hash over the names and bytes of all annotations."""
        digest = hashlib.sha256()
        for name, path in self.annotations():
            digest.update(f"{name}\0".encode() + path.read_bytes())
        return digest.hexdigest()

    def choose(self, limit: int | None = None) -> list[V]:
        """Return the videos, the first `limit` of them unless it is None. Raises UserError for a limit below 1."""
        if limit is not None and limit < 1:
            raise UserError(f"--limit {limit} leaves no {self.item}; give 1 or more")
        return list(self.videos[:limit])


def require_folders(root: Path, needed: Sequence[str], benchmark: str, layout: str) -> None:
    """Raise UserError unless a data folder has the ones that are needed; `layout` names what it should be a copy of."""
    if not root.is_dir():
        raise UserError(f"--data {root} is not a folder. Give the one that holds {', '.join(needed)}.")
    if missing := [folder for folder in needed if not (root / folder).is_dir()]:
        inside = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing"
        raise UserError(
            f"{root} lacks {', '.join(missing)}; found there: {inside}. Expected is the official layout of {layout}. "
            f"For a try-out, `python -m eval data synthesize {benchmark} DIR` draws data."
        )


def read_names(path: Path, parse: Callable[[str, str], Iterable[str]], expected: str) -> list[str]:
    """Return the names that a list gives, in order.

    Args:
        path: the list.
        parse: gets a line without the spaces around it and where it is, and returns the names that it gives.
        expected: of a line, for messages.

    Raises:
        UserError: the list cannot be read, or gives no name, or one twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}). Expected is a list with {expected} a line."
        ) from error
    names = [
        name
        for number, line in enumerate(lines, start=1)
        if line.strip()
        for name in parse(line.strip(), f"{path}, line {number}")
    ]
    if twice := next((name for index, name in enumerate(names) if name in names[:index]), None):
        raise UserError(f"{path} lists {twice} twice. Delete one of the lines.")
    return names


def numbered_pictures(folder: Path, suffix: str, digits: str = "+") -> dict[int, Path]:
    """Return the files of a folder that are named by a number, by number, in order; others are none of the video's.

    Args:
        folder: one that need not be there.
        suffix: jpg or png.
        digits: of a name, as a regular expression counts them: "+" for any, "{5}" for five.

    Raises:
        UserError: two files have one number.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.glob(f"*.{suffix}")):
        if not re.fullmatch(rf"[0-9]{digits}", path.stem):
            continue
        number = int(path.stem)
        if number in found:
            raise UserError(f"{path} and {found[number].name} are both number {number}. Delete one of them.")
        found[number] = path
    return dict(sorted(found.items()))


def common_size(paths: Sequence[Path]) -> tuple[int, int]:
    """Return the (height, width) of all pictures of a video by their headers.

    Raises:
        UserError: one cannot be read or has another size than the first.
    """
    expected, _ = read_header(paths[0])
    for path in paths[1:]:
        size, _ = read_header(path)
        if size != expected:
            raise UserError(
                f"{path} has {size[0]}x{size[1]} pixels, but {paths[0]} has {expected[0]}x{expected[1]}. "
                "All pictures of a video have one size: take them from the same archive."
            )
    return expected[1], expected[0]
