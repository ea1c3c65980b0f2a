"""Check a copy of DAVIS 2017 (docs/protocols.md, "DAVIS 2017"): lists, frame numbers, sizes, masks and object ids."""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from eval.data.verify.files import Picture, read_all, read_picture
from eval.data.verify.report import Report, open_report
from eval.davis.dataset import FRAMES, LISTS, MASKS, OFFICIAL_FRAMES, OFFICIAL_VAL
from eval.davis.masks import VOID
from flsl.runtime import images
from flsl.runtime.errors import UserError
from flsl.runtime.names import safe_name

OFFICIAL = {"val": (len(OFFICIAL_VAL), OFFICIAL_FRAMES), "train": (60, 4209)}  # sequences, frames
GET = "Get DAVIS-2017-trainval-480p.zip from davischallenge.org (DAVIS 2017, TrainVal, 480p) and unpack it again."


@dataclass(frozen=True)
class Mask(Picture):
    """Size and object ids (without background and void) of a palette mask, or what is wrong with it."""

    ids: frozenset[int] = frozenset()


@dataclass
class Sequence:
    """One sequence: paths by frame number, and what they hold once they are read."""

    name: str
    split: str
    frames: dict[int, Path]
    masks: dict[int, Path]
    pictures: dict[int, Picture] = field(default_factory=dict)
    read_masks: dict[int, Mask] = field(default_factory=dict)


def verify(root: Path, decode: bool = True) -> Report:
    """Check the train and val splits. Raises UserError for a wrong or empty folder (`open_report`)."""
    report = open_report(root, "davis", {FRAMES: GET, MASKS: GET, LISTS: GET})
    if not all((root / folder).is_dir() for folder in (FRAMES, MASKS, LISTS)):
        return report
    sequences = []
    for split in OFFICIAL:
        path = root / LISTS / f"{split}.txt"
        if path.is_file():
            listed = [_find_sequence(root, name, split) for name in _read_list(report, path)]
            report.count(f"{split} sequences", len(listed), OFFICIAL[split][0])
            report.count(f"{split} frames", sum(len(s.frames) for s in listed), OFFICIAL[split][1])
            sequences += listed
        elif split == "val":
            report.notes.append(f"{LISTS}/val.txt, the list that `python -m eval davis` evaluates, is missing. {GET}")
    if not sequences:
        report.problem(LISTS, "no sequence is listed in val.txt or train.txt", GET)

    _read_files(sequences, decode)
    for sequence in sequences:
        if not sequence.frames:
            where = f"{FRAMES}/{sequence.name}"
            report.problem(where, f"no frames of this sequence, which {sequence.split}.txt lists", GET)
            continue
        _check_numbers(report, sequence)
        _check_frames(report, sequence)
        _check_masks(report, sequence)
    _judge(report, sequences)
    return report


def _judge(report: Report, sequences: list[Sequence]) -> None:
    """Decide whether this is the official val split (training needs none of DAVIS), and say what it lacks."""
    if report.marker:
        return
    val = [(found, official) for what, found, official in report.counts if what.startswith("val ")]
    small = [
        s.name for s in sequences if any(min(p.width, p.height) != 480 for p in s.pictures.values() if not p.error)
    ]
    if small:
        names = ", ".join(small[:5]) + (", ..." if len(small) > 5 else "")
        report.notes.append(f"not 480 pixels on the short side, as official 480p frames are: {names}")
    report.complete = bool(val) and all(found == official for found, official in val) and not small
    missing = [name for name in OFFICIAL_VAL if name not in {s.name for s in sequences if s.split == "val"}]
    if missing:
        report.complete = False
        report.notes.append(f"{len(missing)} official val sequences are missing: {', '.join(missing)}. {GET}")
    elif not report.complete:
        report.notes.append(f"the official val split has {OFFICIAL_FRAMES:,} frames, 480p. {GET}")


def _read_list(report: Report, path: Path) -> list[str]:
    """Return the sequences of a list file, each once."""
    names = Counter(path.read_text(errors="replace").split())
    sound = []
    for name, times in names.items():
        if times > 1:
            report.problem(path, f"lists {name} {times} times", "List every sequence once.")
        try:
            sound.append(safe_name(name, "a sequence", path.name))
        except UserError as error:
            report.problem(path, str(error), GET)
    return sound


def _find_sequence(root: Path, name: str, split: str) -> Sequence:
    """Return a sequence with the files whose names are five-digit frame numbers."""

    def numbered(folder: Path, suffix: str) -> dict[int, Path]:
        found = (path for path in sorted(folder.glob(f"*{suffix}")) if re.fullmatch(r"\d{5}", path.stem))
        return {int(path.stem): path for path in found}

    return Sequence(name, split, numbered(root / FRAMES / name, ".jpg"), numbered(root / MASKS / name, ".png"))


def _read_files(sequences: list[Sequence], decode: bool) -> None:
    """Fill in what the frames and masks of all sequences hold."""
    frames = [(s, number, path) for s in sequences for number, path in s.frames.items()]
    read = read_all(partial(read_picture, decode=decode), [path for *_, path in frames], "frames")
    for (sequence, number, _), picture in zip(frames, read):
        sequence.pictures[number] = picture
    masks = [(s, number, path) for s in sequences for number, path in s.masks.items() if number in s.frames]
    for (sequence, number, _), mask in zip(masks, read_all(read_mask, [path for *_, path in masks], "masks")):
        sequence.read_masks[number] = mask


def read_mask(path: Path) -> Mask:
    """Read a palette mask."""
    try:
        index = images.read_mask(path, modes=("P",))
    except images.ImageError as error:
        return Mask(error=error.reason)
    ids = np.flatnonzero(np.bincount(index.ravel(), minlength=256)).tolist()
    return Mask(index.shape[1], index.shape[0], ids=frozenset(ids) - {0, VOID})


def _check_numbers(report: Report, sequence: Sequence) -> None:
    """Find gaps in the numbering, and frames and masks without their counterpart."""
    first, last = min(sequence.frames), max(sequence.frames)
    if first:
        report.notes.append(f"{FRAMES}/{sequence.name} begins at frame {first}: a part of a sequence")
    for number in range(first, last + 1):
        if number not in sequence.frames:
            report.problem(f"{FRAMES}/{sequence.name}/{number:05d}.jpg", "the frame is missing", GET)
        elif number not in sequence.masks:
            why = " and nothing can be followed without the first" if number == first else ""
            report.problem(f"{MASKS}/{sequence.name}/{number:05d}.png", f"the mask is missing{why}", GET)
    for number in sorted(set(sequence.masks) - set(sequence.frames)):
        if not first <= number <= last:
            report.problem(sequence.masks[number], "a mask without a frame", f"Delete it or add the frame. {GET}")


def _check_frames(report: Report, sequence: Sequence) -> None:
    """Find unreadable frames and frames of another size than most."""
    common = Counter(p.size for p in sequence.pictures.values() if not p.error).most_common(1)
    for number, picture in sequence.pictures.items():
        if picture.error:
            report.problem(sequence.frames[number], picture.error, f"Replace the frame. {GET}")
        elif picture.size != common[0][0]:
            text = f"{picture.size} where most frames are {common[0][0]}"
            report.problem(sequence.frames[number], text, f"All frames of a sequence have one size. {GET}")


def _check_masks(report: Report, sequence: Sequence) -> None:
    """Find masks that are unreadable, of another size than their frame, or with objects that the first one lacks."""
    first = sequence.read_masks.get(min(sequence.frames))
    for number, mask in sequence.read_masks.items():
        path, picture = sequence.masks[number], sequence.pictures[number]
        if mask.error:
            report.problem(path, mask.error, f"Masks are palette PNGs whose index is the object id. {GET}")
            continue
        if not picture.error and mask.size != picture.size:
            text = f"{mask.size}, but its frame is {picture.size}"
            report.problem(path, text, f"Take frames and masks from the same archive (480p). {GET}")
        if mask is first and not mask.ids:
            report.problem(path, "no object in the first mask", f"The first mask names what to follow. {GET}")
        if first and not first.error and mask.ids - first.ids:
            text = f"object {', '.join(map(str, sorted(mask.ids - first.ids)))} is not in the first mask"
            if sequence.split == "val":
                report.problem(path, text, f"Only objects of the first mask are evaluated. {GET}")
            else:
                report.notes.append(f"{path.relative_to(report.root)}: {text}")
