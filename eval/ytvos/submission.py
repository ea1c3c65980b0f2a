"""The archive that the benchmark's server takes: `Annotations/<video>/<frame>.png` of every listed frame."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from eval.ytvos.data import Video
from eval.ytvos.files import MASKS
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic


def write_submission(videos: Sequence[Video], predictions: Path, path: Path) -> int:
    """Write the masks of all listed frames of videos into a ZIP file; the same masks give the same bytes. Returns how many.

    Raises:
        UserError: a mask is missing, or the disk refuses.
    """
    names = [f"{video.name}/{video.masks[index].name}" for video in videos for index in video.listed]
    if absent := next((name for name in names if not (predictions / name).is_file()), None):
        raise UserError(
            f"{predictions / absent} is missing: the server wants a mask of every frame that meta.json lists."
        )

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:  # PNGs do not get smaller
            for name in names:
                archive.writestr(zipfile.ZipInfo(f"{MASKS}/{name}"), (predictions / name).read_bytes())

    write_atomic(path, write)
    return len(names)
