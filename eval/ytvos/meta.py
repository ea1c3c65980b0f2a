"""`meta.json` of a split of YouTube-VOS: the objects of each video, their categories, and the frames that they are in.

{"videos": {"0a49f5265b": {"objects": {"1": {"category": "person", "frames": ["00000", "00005", ...]}}}}}
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.json_text import parse_json
from flsl.runtime.errors import UserError
from flsl.runtime.files import read_file
from flsl.runtime.names import require_text, safe_name

META = "meta.json"
LARGEST = 256 << 20  # bytes; those of the training split, the largest, are some millions
HIGHEST = 255  # number that a byte of a mask holds
_NUMBER = re.compile(r"[0-9]{1,9}")  # of a frame
_OBJECT = re.compile(r"[1-9][0-9]{0,2}")


@dataclass(frozen=True)
class Listed:
    """An object as `meta.json` has it: its number in masks, its category ("" where there is none), numbers of frames."""

    number: int
    category: str
    frames: tuple[int, ...]


def read_meta(path: Path) -> dict[str, tuple[Listed, ...]]:
    """Return the objects of each video, by number, videos by name.

    Raises:
        UserError: the file is missing, damaged, lists nothing, or something in it is not what it should be; the message
            names the place.
    """
    expected = '{"videos": {VIDEO: {"objects": {NUMBER: {"category": NAME, "frames": ["00000", ...]}}}}}'
    if not path.exists():
        raise UserError(
            f"{path} is missing: it names the videos, their objects and frames. Get it from the split's archive."
        )
    try:
        content = parse_json(read_file(path, LARGEST))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON ({str(error)[:80]}). Expected is {expected}. Get it again.") from error
    videos = _mapping(content, "videos", path, expected)
    if not videos:
        raise UserError(f"{path} lists no video. Expected is {expected}. Get it again.")
    found = {}
    for name in sorted(videos):
        safe_name(name, "a video", path)
        require_text([name], path)
        where = f"{path}, video {name}"
        objects = _mapping(videos[name], "objects", where, expected)
        if not objects:
            raise UserError(f"{where} has no object: there is nothing to follow. Expected is {expected}.")
        found[name] = tuple(
            sorted((_object(*item, where, expected) for item in objects.items()), key=lambda listed: listed.number)
        )
    return found


def categories_of(videos: Mapping[str, tuple[Listed, ...]]) -> frozenset[str]:
    """Return the categories of all objects."""
    return frozenset(listed.category for objects in videos.values() for listed in objects)


def _mapping(content: Any, key: str, where: object, expected: str) -> dict[str, Any]:
    """Return the object that stands under a key; UserError where there is none."""
    inside = content.get(key) if isinstance(content, dict) else None
    if not isinstance(inside, dict):
        raise UserError(f"{where} has no {key!r}. Expected is {expected}. Get it again.")
    return inside


def _object(number: str, content: Any, where: str, expected: str) -> Listed:
    """Check one object."""
    if not _OBJECT.fullmatch(number) or int(number) > HIGHEST:
        raise UserError(
            f"{where}: {number!a:.60} is no number of an object, which is 1 to {HIGHEST}. Get the file again."
        )
    where = f"{where}, object {number}"
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames:
        raise UserError(f"{where} lists no frames. Expected is {expected}. Get it again.")
    for frame in frames:
        if not isinstance(frame, str) or not _NUMBER.fullmatch(frame):
            raise UserError(f"{where}: {frame!a:.60} is no frame, such as '00005'. Get the file again.")
    category = content.get("category", "")
    if not isinstance(category, str) or not category.isprintable():
        raise UserError(f"{where}: {category!a:.60} is no category, such as 'person'. Get the file again.")
    require_text([category], where)
    return Listed(int(number), category.strip(), tuple(sorted({int(frame) for frame in frames})))
