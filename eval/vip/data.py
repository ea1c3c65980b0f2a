"""A copy of VIP on disk, official layout, checked before anything is computed.

DIR/Images/<video>/<number>.jpg                       any number of digits; every 25th frame of a film is there
DIR/Annotations/Category_ids/<video>/<number>.png     a byte a pixel: the part of a person (`CLASSES`), 255 = void
DIR/lists/val_videos.txt                              a video a line
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.videos import VideoData, check_pictures, find_list, numbered_pictures, read_names, require_folders
from flsl.confusion import VOID
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask
from flsl.runtime.marker import read_marker
from flsl.runtime.names import safe_name
from flsl.runtime.text import shorten

FRAMES, MASKS, LISTS = "Images", "Annotations/Category_ids", "lists"
LIST_END = "_videos.txt"
ARCHIVE = "VIP_Fine.zip from the page of Look into Person (sysu-hcp.net/lip, Video Multi-Person Human Parsing)"
CLASSES = (
    "background", "hat", "hair", "sun-glasses", "upper-clothes", "dress", "coat", "socks", "pants", "gloves", "scarf",
    "skirt", "torso-skin", "face", "right-arm", "left-arm", "right-leg", "left-leg", "right-shoe", "left-shoe",
)  # fmt: skip
MODES = ("P", "L")  # of masks, as Pillow names them
KIND = f"palette or gray PNGs whose values are part ids, 0 to {len(CLASSES) - 1}, or {VOID} (void)"
OFFICIAL = tuple(
    f"videos{number}"
    for number in (
        338, 311, 233, 361, 37, 208, 344, 333, 350, 400, 113, 84, 297, 359, 368, 190, 189, 247, 268, 133, 175, 117, 380,
        329, 168, 198, 285, 151, 174, 370, 136, 404, 91, 154, 40, 226, 270, 299, 129, 294, 234, 95, 376, 182, 8, 12, 75,
        184, 102, 141,
    )
)  # fmt: skip


@dataclass(frozen=True)
class Video:
    """One video: its frames in order (none where only masks are needed) and the annotation of each."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    size: tuple[int, int]  # height, width

    @property
    def first_is_given(self) -> bool:
        """The first mask is evaluated too: at the resolution of tokens, it is a prediction."""
        return False

    def read_given(self) -> dict[int, np.ndarray]:
        """Return the part ids (H, W) uint8 of the first annotation, void as background."""
        parts = read_parts(self.masks[0])
        return {0: np.where(parts == VOID, np.uint8(0), parts)}

    def to_disk(self, mask: np.ndarray) -> np.ndarray:
        """Return part ids (H, W) uint8 as annotations have them."""
        return mask


@dataclass(frozen=True)
class Dataset(VideoData[Video]):
    """A split of VIP."""

    benchmark = "vip"

    @property
    def official(self) -> bool:
        """Whether this is the whole official val split."""
        return (
            self.marker is None
            and self.split == "val"
            and sorted(video.name for video in self.videos) == sorted(OFFICIAL)
        )

    def annotations(self) -> Iterable[tuple[str, Path]]:
        """Yield every mask."""
        return ((f"{video.name}/{path.name}", path) for video in self.videos for path in video.masks)


def open_vip(root: Path, split: str = "val", need_frames: bool = True) -> Dataset:
    """Find the videos of a split and check their files by number, size and kind.

    Args:
        root: folder with Images, Annotations and lists.
        split: val, train or what else there is a list of.
        need_frames: False where masks are scored only; frames may be absent then.

    Raises:
        UserError: a folder, list, frame or annotation is missing, or an annotation is no mask or has another size than
            its frame. The message names the file.
    """
    require_folders(root, [FRAMES, MASKS, LISTS] if need_frames else [MASKS, LISTS], "vip", "VIP_Fine")
    path = find_list(root / LISTS, split, LIST_END, "video")
    videos = tuple(_open_video(root, name, path, need_frames) for name in read_list(path))
    return Dataset(root, split, videos, read_marker(root))


def read_list(path: Path) -> list[str]:
    """Return the videos of a list, in order. Raises UserError where it cannot be read, is empty, or a name cannot be one."""
    names = read_names(path, lambda line, where: [safe_name(line, "a video", where)], "a video's name")
    if not names:
        raise UserError(f"{path} lists no video; expected is one name a line, such as {OFFICIAL[0]}.")
    return names


def find_pictures(root: Path, name: str) -> tuple[dict[int, Path], dict[int, Path]]:
    """Return the frames and the masks of a video by number, in order. Raises UserError where two have one number."""
    return numbered_pictures(root / FRAMES / name, "jpg"), numbered_pictures(root / MASKS / name, "png")


def read_parts(path: Path) -> np.ndarray:
    """Read an annotation as part ids (`CLASSES`), (H, W) uint8, 255 where it is void.

    Raises:
        UserError: the file is damaged, no mask, or holds other ids.
    """
    mask = read_mask(path, modes=MODES)
    found = np.flatnonzero(np.bincount(mask.ravel(), minlength=VOID + 1)[:VOID])
    if other := found[found >= len(CLASSES)].tolist():
        raise UserError(
            f"{path} holds the values {shorten(other, 5)}; masks of VIP are 0 to {len(CLASSES) - 1}, the part's "
            f"id, or {VOID} (void). Take the masks from {MASKS}, not from another folder."
        )
    return mask


def _open_video(root: Path, name: str, listed_in: Path, need_frames: bool) -> Video:
    """Find one video and check it."""
    frames, masks = find_pictures(root, name)
    hint = f"`python -m eval data verify vip {root}` lists all that is wrong."
    for folder, files, needed in ((FRAMES, frames, need_frames), (MASKS, masks, True)):
        if needed and not files:
            kind = "frames NUMBER.jpg" if folder == FRAMES else "annotations NUMBER.png"
            raise UserError(f"{root / folder / name} holds no {kind}, but {listed_in} lists the video. {hint}")
    for number, path in frames.items():
        if number not in masks:
            missing = root / MASKS / name / f"{path.stem}.png"
            raise UserError(f"{missing} is missing: every frame needs its annotation. {hint}")
    for number, path in masks.items():
        if frames and number not in frames:
            raise UserError(f"{path} is an annotation without a frame. Delete it or add the frame. {hint}")
    if len(masks) < 2:
        raise UserError(
            f"{root / MASKS / name} has 1 annotation: the first one is given, so a video needs two or more."
        )
    size = check_pictures(list(frames.values()), list(masks.values()), MODES, KIND)
    return Video(name, tuple(frames.values()), tuple(masks.values()), size)
