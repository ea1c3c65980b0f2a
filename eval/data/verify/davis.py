"""Check a copy of DAVIS 2017 or 2016 (docs/protocols.md, "DAVIS 2017"): lists, frame numbers, sizes, masks, object ids."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from eval.data.verify.files import read_picture, read_videos
from eval.data.verify.frames import Mask, Video, check_frames, check_mask, read_mask
from eval.data.verify.report import Report, open_report
from eval.davis.edition import FEWEST, FRAMES, MASKS, Edition, find_edition, find_pictures
from eval.segment.datasets.data import some_numbers
from flsl.runtime.errors import UserError
from flsl.runtime.text import shorten


def verify(root: Path, decode: bool = True) -> Report:
    """Check the train and val splits. Raises UserError for a wrong or empty folder (`open_report`)."""
    edition = find_edition(root)
    get = f"Get {edition.archive} and unpack it again."
    folders = (FRAMES, MASKS, edition.lists)
    report = open_report(root, "davis", dict.fromkeys(folders, get))
    if not all((root / folder).is_dir() for folder in folders):
        return report
    sequences = []
    for split, official in edition.official.items():
        path = root / edition.lists / f"{split}.txt"
        if report.has_file(path, get, evaluated=split == "val"):
            listed = [
                Video(name, split, *find_pictures(root, name, numbers))
                for name, numbers in _read_list(report, edition, path, get)
            ]
            report.count(f"{split} sequences", len(listed), official.sequences)
            report.count(f"{split} frames", sum(len(s.frames) for s in listed), official.frames)
            sequences += listed
    if not sequences:
        report.problem(edition.lists, "no sequence is listed in val.txt or train.txt", get)

    for sequence, masks in zip(sequences, _read_files(sequences, edition, decode)):
        if not sequence.frames:
            where = f"{FRAMES}/{sequence.name}"
            report.problem(where, f"no frames of this sequence, which {sequence.split}.txt lists", get)
            continue
        _check_numbers(report, sequence, get)
        check_frames(report, sequence.frames, sequence.pictures, get)
        _check_masks(report, edition, sequence, masks, get)
    _judge(report, edition, sequences, get)
    return report


def _judge(report: Report, edition: Edition, sequences: list[Video], get: str) -> None:
    """Decide whether this is the official val split (training needs none of DAVIS), and say what it lacks."""
    if report.marker:
        return
    val = [(found, official) for what, found, official in report.counts if what.startswith("val ")]
    small = [
        s.name for s in sequences if any(min(p.width, p.height) != 480 for p in s.pictures.values() if not p.error)
    ]
    if small:
        report.notes.append(f"not 480 pixels on the short side, as official 480p frames are: {shorten(small, 5)}")
    there = {s.name for s in sequences if s.split == "val"}
    said = f"the official val split has {edition.official['val'].frames:,} frames, 480p. {get}"
    if missing := [name for name in edition.official["val"].names if name not in there]:
        said = f"{len(missing)} official val sequences are missing: {', '.join(missing)}. {get}"
    whole = bool(val) and all(found == official for found, official in val) and not small
    report.conclude(whole and not missing, said)


def _read_list(report: Report, edition: Edition, path: Path, get: str) -> Iterable[tuple[str, tuple[int, ...] | None]]:
    """Return the sequences of a list file, each once, with the frames that it names (None: all)."""
    if not edition.one_object:
        for name, times in Counter(path.read_text(errors="replace").split()).items():
            if times > 1:
                report.problem(path, f"lists {name} {times} times", "List every sequence once.")
    try:
        return edition.read_list(path).items()
    except UserError as error:
        report.problem(path, str(error), get)
        return []


def _read_files(sequences: list[Video], edition: Edition, decode: bool) -> list[dict[int, Mask]]:
    """Fill in what the frames of all sequences are; returns by number what those masks of each hold that have a frame."""
    read = read_videos(partial(read_picture, decode=decode), [sequence.frames for sequence in sequences], "frames")
    for sequence, pictures in zip(sequences, read):
        sequence.pictures = pictures
    masks = [{number: path for number, path in s.masks.items() if number in s.frames} for s in sequences]
    return read_videos(partial(read_mask, edition.read_truth), masks, "masks")


def _check_numbers(report: Report, sequence: Video, get: str) -> None:
    """Find gaps in the numbering, too few frames, and frames and masks without their counterpart."""
    first, last = min(sequence.frames), max(sequence.frames)
    if len(sequence.frames) < FEWEST:
        text = f"{len(sequence.frames)} frames: the first and the last are not scored, so evaluation needs {FEWEST} or more"
        if sequence.split == "val":
            report.problem(f"{FRAMES}/{sequence.name}", text, f"Take it out of val.txt. {get}")
        else:
            report.notes.append(f"{FRAMES}/{sequence.name}: {text}")
    if first:
        report.notes.append(f"{FRAMES}/{sequence.name} begins at frame {first}: a part of a sequence")
    for number in range(first, last + 1):
        if number not in sequence.frames:
            report.problem(f"{FRAMES}/{sequence.name}/{number:05d}.jpg", "the frame is missing", get)
        elif number not in sequence.masks:
            why = " and nothing can be followed without the first" if number == first else ""
            report.problem(f"{MASKS}/{sequence.name}/{number:05d}.png", f"the mask is missing{why}", get)
    for number in sorted(set(sequence.masks) - set(sequence.frames)):
        if not first <= number <= last:
            report.problem(sequence.masks[number], "a mask without a frame", f"Delete it or add the frame. {get}")


def _check_masks(report: Report, edition: Edition, sequence: Video, masks: dict[int, Mask], get: str) -> None:
    """Find masks that are unreadable, of another size than their frame, or with objects that the first one lacks."""
    first = masks.get(min(sequence.frames))
    for number, mask in masks.items():
        path, picture = sequence.masks[number], sequence.pictures[number]
        if not check_mask(report, path, mask, picture, edition.kind, get):
            continue
        if mask is first and not mask.ids:
            report.problem(path, "no object in the first mask", f"The first mask names what to follow. {get}")
        elif mask is first and sequence.split == "val" and (absent := set(range(1, max(mask.ids))) - mask.ids):
            text = f"object {some_numbers(sorted(absent))} is not in the first mask, though {max(mask.ids)} is"
            report.problem(path, text, f"The official tool scores every number up to the highest as an object. {get}")
        if first and not first.error and mask.ids - first.ids:
            text = f"object {', '.join(map(str, sorted(mask.ids - first.ids)))} is not in the first mask"
            if sequence.split == "val":
                report.problem(path, text, f"Only objects of the first mask are evaluated. {get}")
            else:
                report.notes.append(f"{path.relative_to(report.root)}: {text}")
