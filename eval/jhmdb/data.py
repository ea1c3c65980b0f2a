"""A copy of JHMDB on disk, official layout, checked before anything is computed.

DIR/Rename_Images/<action>/<clip>/00001.png                   frames, from 1 without a gap
DIR/joint_positions/<action>/<clip>/joint_positions.mat       `pos_img`, 2 x 15 x frames: x and y of the joints, from 1
DIR/splits/<action>_test_split1.txt                           `<clip>.avi 1` (training) or `<clip>.avi 2` (test) a line
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from eval.jhmdb.matlab import read_numbers
from eval.videos import VideoData, check_pictures, numbered_pictures, read_names, require_folders
from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.files import read_file, read_lines
from flsl.runtime.marker import read_marker
from flsl.runtime.names import require_text, safe_name

FRAMES, POSITIONS, LISTS = "Rename_Images", "joint_positions", "splits"
POSITIONS_FILE, VARIABLE = "joint_positions.mat", "pos_img"
LIST_END = "_test_split1.txt"
ARCHIVES = "Rename_Images.tar.gz, joint_positions.zip and splits.zip from jhmdb.is.tue.mpg.de (Downloads)"
JOINTS = (
    "neck", "belly", "face", "right shoulder", "left shoulder", "right hip", "left hip", "right elbow", "left elbow",
    "right knee", "left knee", "right wrist", "left wrist", "right ankle", "left ankle",
)  # fmt: skip
LIMBS = (  # a joint and the one that it hangs on, by index
    (0, 1), (2, 0), (3, 0), (4, 0), (5, 1), (6, 1), (7, 3), (8, 4), (9, 5), (10, 6), (11, 7), (12, 8), (13, 9), (14, 10),
)  # fmt: skip
CODES = {"train": "1", "test": "2"}  # in the lists
OFFICIAL_CLIPS, OFFICIAL_ACTIONS = 268, 21  # of the test split
FARTHEST = 100_000  # pixels that a joint may lie outside a picture; no picture is as large
LARGEST = 16 << 20  # bytes of a file of joints; the official ones have a few thousand


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        name: `<action>/<clip>`.
        frames: in order; those after the last annotated one are not scored. None where only joints are needed.
        size: height, width of the frames; zeros without frames.
        joints: (frames, 15, 2) float64, x and y of `JOINTS` in pixels counted from 0; some lie outside the picture.
    """

    name: str
    frames: tuple[Path, ...]
    size: tuple[int, int]
    joints: np.ndarray = field(compare=False, repr=False)


@dataclass(frozen=True)
class Dataset(VideoData[Clip]):
    """A split of JHMDB, the first of its three ways to split."""

    benchmark = "jhmdb"
    item = "clip"

    @property
    def official(self) -> bool:
        """Whether this is the whole official test split."""
        actions = {video.name.partition("/")[0] for video in self.videos}
        return (
            self.marker is None
            and self.split == "test"
            and (len(self.videos), len(actions)) == (OFFICIAL_CLIPS, OFFICIAL_ACTIONS)
        )

    def annotations(self) -> Iterable[tuple[str, Path]]:
        """Yield every file of joints."""
        return ((video.name, positions_path(self.root, video.name)) for video in self.videos)


def open_jhmdb(root: Path, split: str = "test", need_frames: bool = True) -> Dataset:
    """Find the clips of a split, check their frames by number and size, and read their joints.

    Args:
        root: folder with Rename_Images, joint_positions and splits.
        split: test or train.
        need_frames: False where joints are scored only; frames may be absent then.

    Raises:
        UserError: a folder, list, frame or file of joints is missing, the numbering has a gap, frames are fewer than
            annotated or of several sizes, or joints are no finite numbers. The message names the file.
    """
    if split not in CODES:
        raise UserError(unknown_key(f"--split {split}", split, CODES, "split"))
    needed = [FRAMES, POSITIONS, LISTS] if need_frames else [POSITIONS, LISTS]
    require_folders(root, needed, "jhmdb", "JHMDB (Rename_Images, joint_positions, splits)")
    lists = find_lists(root)
    if not lists:
        raise UserError(f"{root / LISTS} holds no list <action>{LIST_END}, which name the clips. Get {ARCHIVES}.")
    names = [name for path in lists for name in read_list(path, split)]
    if not names:
        raise UserError(
            f"{root / LISTS}: no list names a clip of the split {split} (lines that end in {CODES[split]})."
        )
    return Dataset(root, split, tuple(_open_clip(root, name, need_frames) for name in names), read_marker(root))


def find_lists(root: Path) -> list[Path]:
    """Return the lists of the first way to split, one an action, sorted."""
    return sorted((root / LISTS).glob(f"[!.]*{LIST_END}"))


def read_list(path: Path, split: str) -> list[str]:
    """Return the names `<action>/<clip>` of a split that a list gives, in order.

    Raises UserError where it cannot be read, names no clip, its own name can be no action's, a line is none of such a list, or
    a clip comes twice.
    """
    action = safe_name(path.name.removesuffix(LIST_END), "an action", f"{path.parent}: {path.name!a}")
    require_text([action], path.parent)
    expected = "`<clip>.avi 1` or `<clip>.avi 2`"
    if not read_lines(path, expected):
        raise UserError(
            f"{path} lists no clip: an action without one would be left out. Expected is {expected} a line."
        )
    return [f"{action}/{clip}" for clip in read_names(path, partial(_parse, split), expected)]


def positions_path(root: Path, name: str) -> Path:
    """Return where the joints of a clip are."""
    return root / POSITIONS / name / POSITIONS_FILE


def read_joints(path: Path) -> np.ndarray:
    """Return the joints of a clip, (frames, 15, 2) float64: x and y in pixels counted from 0 (the file counts from 1).

    Raises:
        UserError: the file is missing, damaged, or holds something else than finite positions of 15 joints.
    """
    wanted = f"{VARIABLE}, 2 x {len(JOINTS)} x frames: x and y of each joint"
    get = f"Get {ARCHIVES}."
    if not path.exists():
        raise UserError(f"{path} is missing. Expected in it is {wanted}. {get}")
    data = read_file(path, LARGEST)
    try:
        positions = read_numbers(data, VARIABLE, LARGEST)
    except ValueError as error:
        raise UserError(f"{path} is damaged or no MATLAB file ({error}). Expected in it is {wanted}. {get}") from error
    if positions is None:
        raise UserError(f"{path} lacks the numbers {wanted}. {get}")
    if positions.ndim != 3 or positions.shape[:2] != (2, len(JOINTS)) or positions.shape[2] < 2:
        shape = " x ".join(map(str, positions.shape))
        raise UserError(
            f"{path} holds a {VARIABLE} of {shape}. Expected is {wanted}, of which there are two or more. {get}"
        )
    joints = positions.astype(np.float64).transpose(2, 1, 0) - 1
    outside = ~(np.abs(joints) < FARTHEST)  # NaN too
    if outside.any():
        frame, joint, _ = np.argwhere(outside)[0]
        raise UserError(
            f"{path} holds no finite position of the joint {JOINTS[joint]} in frame {frame + 1}, within {FARTHEST:,} pixels. "
            f"Expected is {wanted}. {get}"
        )
    return joints


def find_frames(root: Path, name: str) -> dict[int, Path]:
    """Return the frames of a clip by number, in order."""
    return numbered_pictures(root / FRAMES / name, "png", "{5}")


def _parse(split: str, line: str, where: str) -> list[str]:
    """Return the clip of a line, if it is of the split."""
    *before, code = line.rsplit(maxsplit=1)
    name = "".join(before)
    if not name.endswith(".avi") or code not in CODES.values():
        raise UserError(
            f"{where}: {line[:120]!r} is not a clip and its part; expected is `<clip>.avi 1` or `<clip>.avi 2`."
        )
    clip = safe_name(name.removesuffix(".avi"), "a clip", where)
    return [clip] if code == CODES[split] else []


def _open_clip(root: Path, name: str, need_frames: bool) -> Clip:
    """Find one clip and check it."""
    joints = read_joints(positions_path(root, name))
    frames = find_frames(root, name)
    folder = root / FRAMES / name
    hint = f"`python -m eval data verify jhmdb {root}` lists all that is wrong."
    if not frames:
        if need_frames:
            raise UserError(
                f"{folder} holds no frames 00001.png, 00002.png, ..., but {root / LISTS} lists the clip. {hint}"
            )
        return Clip(name, (), (0, 0), joints)
    for number in range(1, max(frames) + 1):
        if number not in frames:
            raise UserError(f"{folder / f'{number:05d}'}.png is missing: frames count from 1 without a gap. {hint}")
    if 0 in frames:
        raise UserError(f"{frames[0]} is one too many: frames count from 1. {hint}")
    if len(frames) < len(joints):
        raise UserError(
            f"{folder} has {len(frames)} frames, but {positions_path(root, name)} has the joints of {len(joints)}. {hint}"
        )
    return Clip(name, tuple(frames.values()), check_pictures(list(frames.values())), joints)
