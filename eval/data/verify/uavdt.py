"""Check a copy of UAVDT (docs/protocols.md, "UAVDT"): sequences, frame numbers, sizes, ground-truth rows."""

from functools import partial
from pathlib import Path

import numpy as np

from eval.data.verify.files import Picture, read_picture, read_videos
from eval.data.verify.frames import check_frames, check_numbers
from eval.data.verify.report import Report, open_report
from eval.uavdt.files import Rows, check_ignore, check_whole, ignore_path, truth_of_rows, whole_path
from eval.uavdt.layout import FRAMES, TRUTH, numbered_frames
from eval.uavdt.sequences import official_sequences
from flsl.runtime.errors import UserError
from flsl.runtime.text import shorten

OFFICIAL_FRAMES, OFFICIAL_BOXES = 40_735, 798_795
PAGE = "the UAVDT project page (sites.google.com/view/grli-uavdt)"
GET_FRAMES = f"Get UAV-benchmark-M.zip from {PAGE} and unpack it again."
GET_TRUTH = f"Get UAV-benchmark-MOTD_v1.0.zip from {PAGE} and unpack it again."
DRAW = "Without the pictures, `python -m eval data synthesize uavdt NEW_DIR --from-gt DIR` draws some for the boxes."
CORRECT = f"Correct the row. {GET_TRUTH}"
DUPLICATE = f"Delete all boxes of a target in a frame but one. {GET_TRUTH}"


def verify(root: Path, decode: bool = True) -> Report:
    """Check every sequence that is there. Raises UserError for a wrong or empty folder (`open_report`)."""
    report = open_report(root, "uavdt", {FRAMES: f"{GET_FRAMES} {DRAW}", TRUTH: GET_TRUTH})
    official = official_sequences()
    folders = {path.name for path in (root / FRAMES).glob("[!.]*") if path.is_dir()}
    truths = {path.name.removesuffix("_gt_whole.txt") for path in (root / TRUTH).glob("[!.]*_gt_whole.txt")}
    names = sorted(folders | truths)
    if not folders and (root / FRAMES).is_dir():
        report.problem(FRAMES, "no sequence", GET_FRAMES)
    frames = {name: _find_frames(report, name) for name in names if name in folders}
    pictures = _read_frames(report, frames, decode)
    boxes: dict[str, int] = {}
    changed = []
    for name in names:
        if name in folders and name not in truths and (root / TRUTH).is_dir():
            report.problem(whole_path(root / TRUTH, name), "the ground truth is missing", GET_TRUTH)
        if name not in folders and folders:
            report.problem(f"{FRAMES}/{name}", "the frames of this ground truth are missing", f"{GET_FRAMES} {DRAW}")
        if name in truths:
            whole = _check_truth(report, name, frames.get(name), pictures.get(name))
            boxes[name] = len(whole.values)
            if name in official and not whole.problems and not report.marker:
                published = official[name].has_published_boxes(truth_of_rows(name, None, whole.values))
                changed += [] if published else [name]
        if name not in official:
            report.notes.append(f"{name} is in neither official list: `python -m eval uavdt` does not use it")
    for split in ("train", "test"):
        wanted = [sequence.name for sequence in official.values() if sequence.split == split]
        report.count(f"{split} sequences", len(folders.intersection(wanted)), len(wanted))
        if (there := [name for name in wanted if name in boxes]) and not any(boxes[name] for name in there):
            report.problem(TRUTH, f"no box in any {split} sequence: there is nothing to {split} with", GET_TRUTH)
        missing = [name for name in wanted if name not in folders]
        if missing and folders and not report.marker:
            report.notes.append(f"{len(missing)} {split} sequences are missing: {shorten(missing, 6)}. {GET_FRAMES}")
    report.count("frames", sum(map(len, frames.values())), OFFICIAL_FRAMES)
    rows = sum(boxes.values())
    report.count("boxes", rows, OFFICIAL_BOXES)
    if rows == OFFICIAL_BOXES and DUPLICATE in report.problems:
        # As many boxes as the official files have: what they hold is no fault of this copy.
        report.notes.append(f"{len(report.problems.pop(DUPLICATE))} targets have two boxes in a frame")
    if changed:
        report.notes.append(f"other boxes than the published ones in {', '.join(changed)}. {GET_TRUTH}")
    report.conclude(report.counts_are_official() and not changed)
    return report


def _find_frames(report: Report, name: str) -> dict[int, Path]:
    """Return a sequence's frames by number, reporting gaps; they count from 1."""
    folder = report.root / FRAMES / name
    try:
        found = numbered_frames(folder)
    except UserError as error:
        report.problem(folder, str(error), GET_FRAMES)
        return {}
    check_numbers(report, folder, found, "img{:06d}.jpg", GET_FRAMES)
    return found


def _read_frames(report: Report, frames: dict[str, dict[int, Path]], decode: bool) -> dict[str, Picture]:
    """Read all frames, reporting unreadable ones and other sizes; returns a typical frame of each sequence."""
    read = read_videos(partial(read_picture, decode=decode), list(frames.values()), "frames")
    typical = {name: check_frames(report, frames[name], pictures, GET_FRAMES) for name, pictures in zip(frames, read)}
    return {name: picture for name, picture in typical.items() if picture}


def _check_truth(report: Report, name: str, frames: dict[int, Path] | None, picture: Picture | None) -> Rows:
    """Check both ground-truth files of a sequence; returns the rows of its boxes."""
    whole = check_whole(whole_path(report.root / TRUTH, name), None)
    frame, left, top, width, height = whole.values[:, [0, 2, 3, 4, 5]].T
    if frames:
        whole.check(np.isin(frame, list(frames)) | (frame < 1), "its frame is not there")
    if picture is not None:
        inside = (left < picture.width) & (top < picture.height) & (left + width > 0) & (top + height > 0)
        whole.check(inside, f"the box lies outside its frame of {picture.size}")
    _report_rows(report, whole)
    pairs, times = np.unique(whole.values[:, :2], axis=0, return_counts=True)
    for frame, target in pairs[times > 1]:
        report.problem(whole.path, f"target {target:.0f} has more than one box in frame {frame:.0f}", DUPLICATE)
    ignored = ignore_path(report.root / TRUTH, name)
    if ignored.is_file():
        _report_rows(report, check_ignore(ignored))
    else:
        report.problem(ignored, "the file of ignore regions is missing (it may be empty)", GET_TRUTH)
    return whole


def _report_rows(report: Report, rows: Rows) -> None:
    for line, problem in sorted(rows.problems):
        report.problem(rows.path, f"line {line}: {problem}", CORRECT)
