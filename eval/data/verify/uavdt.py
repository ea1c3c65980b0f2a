"""Check a copy of UAVDT (protocols.md): sequences, frame numbers, sizes, ground-truth rows."""

import re
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from eval.data.verify.files import Picture, read_all, read_picture
from eval.data.verify.report import Report, open_report
from eval.uavdt.ground_truth import CATEGORIES, OCCLUSIONS, OUT_OF_VIEW, ignore_path, whole_path
from eval.uavdt.layout import FRAMES, TRUTH
from eval.uavdt.rows import read_rows
from eval.uavdt.sequences import official_sequences
from flsl.runtime.errors import UserError

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
    folders = {path.name for path in (root / FRAMES).glob("*") if path.is_dir()}
    truths = {path.name.removesuffix("_gt_whole.txt") for path in (root / TRUTH).glob("*_gt_whole.txt")}
    names = sorted(folders | truths)
    if not names:
        report.problem(FRAMES, "no sequence", GET_FRAMES)
    frames = {name: _find_frames(report, name) for name in names if name in folders}
    pictures = _read_frames(report, frames, decode)
    rows = 0
    for name in names:
        if name in folders and name not in truths and (root / TRUTH).is_dir():
            report.problem(whole_path(root / TRUTH, name), "the ground truth is missing", GET_TRUTH)
        if name not in folders and folders:
            report.problem(f"{FRAMES}/{name}", "the frames of this ground truth are missing", f"{GET_FRAMES} {DRAW}")
        if name in truths:
            rows += _check_truth(report, name, frames.get(name), pictures.get(name))
        if name not in official:
            report.notes.append(f"{name} is in neither official list: `python -m eval uavdt` does not use it")
    for split in ("train", "test"):
        wanted = [sequence.name for sequence in official.values() if sequence.split == split]
        report.count(f"{split} sequences", len(folders.intersection(wanted)), len(wanted))
        missing = [name for name in wanted if name not in folders]
        if missing and folders and not report.marker:
            shown = ", ".join(missing[:6]) + (", ..." if len(missing) > 6 else "")
            report.notes.append(f"{len(missing)} {split} sequences are missing: {shown}. {GET_FRAMES}")
    report.count("frames", sum(map(len, frames.values())), OFFICIAL_FRAMES)
    report.count("boxes", rows, OFFICIAL_BOXES)
    if rows == OFFICIAL_BOXES and DUPLICATE in report.problems:
        # As many boxes as the official files have: what they hold is no fault of this copy.
        report.notes.append(f"{len(report.problems.pop(DUPLICATE))} targets have two boxes in a frame")
    report.complete = report.marker is None and report.counts_are_official()
    return report


def _find_frames(report: Report, name: str) -> dict[int, Path]:
    """Return a sequence's frames by number, reporting gaps; they count from 1."""
    folder = report.root / FRAMES / name
    found = {int(m[1]): path for path in sorted(folder.iterdir()) if (m := re.fullmatch(r"img(\d{6})\.jpg", path.name))}
    if not found:
        report.problem(folder, "no frame img000001.jpg, img000002.jpg, ...", GET_FRAMES)
    if 0 in found:
        report.problem(found[0], "frames count from 1", f"Number the frames from img000001.jpg. {GET_FRAMES}")
    for number in range(1, max(found, default=0) + 1):
        if number not in found:
            report.problem(folder / f"img{number:06d}.jpg", "the frame is missing", GET_FRAMES)
    return found


def _read_frames(report: Report, frames: dict[str, dict[int, Path]], decode: bool) -> dict[str, Picture]:
    """Read all frames, reporting unreadable ones and other sizes; returns a typical frame of each sequence."""
    flat = [(name, path) for name, numbered in frames.items() for path in numbered.values()]
    read = read_all(partial(read_picture, decode=decode), [path for _, path in flat], "frames")
    typical = {}
    for name in frames:
        own = [(path, picture) for (owner, path), picture in zip(flat, read) if owner == name]
        common = Counter(picture for _, picture in own if not picture.error).most_common(1)
        if common:
            typical[name] = common[0][0]
        for path, picture in own:
            if picture.error:
                report.problem(path, picture.error, f"Replace the frame. {GET_FRAMES}")
            elif picture != common[0][0]:
                text = f"{picture.size} where most frames are {common[0][0].size}"
                report.problem(path, text, f"All frames of a sequence have one size. {GET_FRAMES}")
    return typical


def _check_truth(report: Report, name: str, frames: dict[int, Path] | None, picture: Picture | None) -> int:
    """Check both ground-truth files of a sequence; returns the number of boxes."""
    path = whole_path(report.root / TRUTH, name)
    rows, lines = _read_rows(report, path, (9, 9))
    checks = [
        ((rows[:, 4:6] > 0).all(axis=1), "a box without area"),
        (np.isin(rows[:, 6], list(OUT_OF_VIEW)), "out-of-view (column 7) is not 1, 2 or 3"),
        (np.isin(rows[:, 7], list(OCCLUSIONS)), "occlusion (column 8) is not 1, 2, 3 or 4"),
        (np.isin(rows[:, 8], list(CATEGORIES)), "category (column 9) is not 1 (car), 2 (truck) or 3 (bus)"),
    ]
    ignored = ignore_path(report.root / TRUTH, name)
    if not ignored.is_file():
        report.problem(ignored, "the file of ignore regions is missing (it may be empty)", GET_TRUTH)
    _check_rows(report, path, rows, lines, checks, frames, picture)
    pairs, times = np.unique(rows[:, :2], axis=0, return_counts=True)
    for frame, target in pairs[times > 1].astype(int):
        report.problem(path, f"target {target} has more than one box in frame {frame}", DUPLICATE)
    if ignored.is_file():
        regions, lines = _read_rows(report, ignored, (6, None))
        _check_rows(report, ignored, regions, lines, [], None, None)
    return len(rows)


def _check_rows(
    report: Report,
    path: Path,
    rows: np.ndarray,
    lines: list[int],
    checks: list[tuple[np.ndarray, str]],
    frames: dict[int, Path] | None,
    picture: Picture | None,
) -> None:
    """Report every row that fails a check; rows (n, >= 6), and the line of each in the file."""
    checks = [*checks, ((rows[:, 0] >= 1) & (rows[:, 0] % 1 == 0), "frames are whole numbers from 1")]
    if frames is not None:
        checks.append((np.isin(rows[:, 0], list(frames)) | (rows[:, 0] < 1), "its frame is not there"))
    if picture is not None:
        left, top, right, bottom = rows[:, 2], rows[:, 3], rows[:, 2] + rows[:, 4], rows[:, 3] + rows[:, 5]
        inside = (left < picture.width) & (top < picture.height) & (right > 0) & (bottom > 0)
        checks.append((inside, f"the box lies outside its frame of {picture.size}"))
    for good, text in checks:
        for row in np.flatnonzero(~good):
            report.problem(path, f"line {lines[row]}: {text}", CORRECT)


def _read_rows(report: Report, path: Path, columns: tuple[int, int | None]) -> tuple[np.ndarray, list[int]]:
    """Return the well-formed rows of a ground-truth file and their line numbers, reporting the others."""
    least, most = columns
    text = [(n, line) for n, line in enumerate(path.read_text(errors="replace").splitlines(), 1) if line.strip()]
    try:
        return read_rows(path, columns, "numbers"), [n for n, _ in text]
    except UserError:
        pass
    rows, lines = [], []
    for number, line in text:
        try:
            values = [float(cell) for cell in line.split(",")]
        except ValueError:
            values = []
        if len(values) < least or (most and len(values) > most) or not np.isfinite(values).all():
            wanted = f"{least}" if most == least else f"at least {least}"
            report.problem(path, f"line {number}: not {wanted} comma-separated numbers: {line.strip()[:60]!r}", CORRECT)
            continue
        rows.append(values[:9] if most else values[:least])
        lines.append(number)
    return np.array(rows, np.float64).reshape(-1, most or least), lines
