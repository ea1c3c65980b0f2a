"""Reading thousands of pictures in threads, with progress."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from eval.progress import tracked
from flsl.runtime.device import cores
from flsl.runtime.images import ImageError, check_image

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Picture:
    """Size in pixels of a readable picture, or what is wrong with it."""

    width: int = 0
    height: int = 0
    error: str = ""

    @property
    def size(self) -> str:
        """The size as text, e.g. 854x480."""
        return f"{self.width}x{self.height}"


def read_picture(path: Path, decode: bool = True) -> Picture:
    """Read a picture's header and, with `decode`, all of its data, which finds files that were cut off."""
    try:
        return Picture(*check_image(path, whole=decode))
    except ImageError as error:
        return Picture(error=error.reason)


def read_all(read: Callable[[Item], T], paths: Sequence[Item], what: str) -> list[T]:
    """Call `read` on every path (or what else it takes) in threads, showing progress and the time left; results in order."""
    with ThreadPoolExecutor(min(16, 2 * cores())) as pool:
        # In blocks: a million tasks waiting at once would need gigabytes.
        blocks = (pool.map(read, paths[start : start + 4096]) for start in range(0, len(paths), 4096))
        results = (result for block in blocks for result in block)
        return list(tracked(results, f"reading {what}", len(paths)))


def read_videos(read: Callable[[Path], T], videos: Sequence[Mapping[int, Path]], what: str) -> list[dict[int, T]]:
    """Call `read` on the numbered files of all videos (`read_all`); returns the results of each video by number."""
    results = iter(read_all(read, [path for files in videos for path in files.values()], what))
    return [{number: next(results) for number in files} for files in videos]
