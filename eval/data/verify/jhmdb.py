"""Check a copy of JHMDB (docs/protocols.md, "JHMDB"): lists, frame numbers, sizes, files of joints."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eval.data.verify.files import read_all, read_picture, read_videos
from eval.data.verify.frames import check_frames, check_numbers
from eval.data.verify.report import Report, open_report
from eval.jhmdb.data import (
    ARCHIVES,
    FRAMES,
    LISTS,
    OFFICIAL_ACTIONS,
    OFFICIAL_CLIPS,
    POSITIONS,
    find_frames,
    find_lists,
    positions_path,
    read_joints,
    read_list,
)
from flsl.runtime.errors import UserError

GET = f"Get {ARCHIVES} and unpack them again."


@dataclass(frozen=True)
class Positions:
    """For how many frames a file has joints, or what is wrong with it."""

    frames: int = 0
    error: str = ""


def verify(root: Path, decode: bool = True) -> Report:
    """Check the test split, and what is there of the train split. Raises UserError for a wrong or empty folder (`open_report`)."""
    folders = (FRAMES, POSITIONS, LISTS)
    report = open_report(root, "jhmdb", dict.fromkeys(folders, GET))
    if not all((root / folder).is_dir() for folder in folders):
        return report
    test, train = (_find_clips(report, split) for split in ("test", "train"))
    there = [name for name in train if (root / FRAMES / name).is_dir() or (root / POSITIONS / name).is_dir()]
    if len(there) < len(train):
        report.notes.append(f"{len(train) - len(there)} train clips are not there: evaluation needs none of them")
    if not test:
        report.problem(LISTS, "no list names a clip of the test split (lines that end in 2)", GET)
    frames = _check_clips(report, [*test, *there], decode)
    actions = {name.partition("/")[0] for name in test}
    report.count("test clips", len(test), OFFICIAL_CLIPS)
    report.count("test actions", len(actions), OFFICIAL_ACTIONS)
    report.count("train clips", len(there))
    report.count("annotated frames", frames)
    official = f"the official test split has {OFFICIAL_CLIPS} clips of {OFFICIAL_ACTIONS} actions"
    report.conclude(report.counts_are_official(), f"{official}. {GET}")
    return report


def _find_clips(report: Report, split: str) -> list[str]:
    """Return the names of the clips of a split; a list that cannot be used is reported once, with the test split."""
    names = []
    for path in find_lists(report.root):
        try:
            names += read_list(path, split)
        except UserError as error:
            if split == "test":
                report.problem(path, str(error), GET)
    return names


def _check_clips(report: Report, names: list[str], decode: bool) -> int:
    """Read all frames and joints, reporting what is wrong with them; returns the number of annotated frames."""
    root = report.root
    clips = [find_frames(root, name) for name in names]
    read = read_videos(partial(read_picture, decode=decode), clips, "frames")
    positions = read_all(_read_positions, [positions_path(root, name) for name in names], "joints")
    for name, frames, pictures, joints in zip(names, clips, read, positions):
        check_numbers(report, root / FRAMES / name, frames, "{:05d}.png", GET)
        check_frames(report, frames, pictures, GET)
        if joints.error:
            report.problem(positions_path(root, name), joints.error, GET)
        elif 0 < len(frames) < joints.frames:
            text = f"joints of {joints.frames} frames, but the clip has {len(frames)}"
            report.problem(positions_path(root, name), text, GET)
    return sum(joints.frames for joints in positions)


def _read_positions(path: Path) -> Positions:
    """Read a file of joints."""
    try:
        return Positions(len(read_joints(path)))
    except UserError as error:
        return Positions(error=str(error))
