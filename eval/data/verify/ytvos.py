"""Check a copy of YouTube-VOS 2018 (docs/protocols.md, "YouTube-VOS 2018"): meta.json, frames, masks, where objects appear."""

from functools import partial
from pathlib import Path

from eval.data.verify.files import Picture, read_picture, read_videos
from eval.data.verify.frames import Mask, Video, check_frames, check_mask, find_videos, read_mask
from eval.data.verify.report import Report, open_report
from eval.ytvos.data import OFFICIAL
from eval.ytvos.files import ALL_FRAMES, ARCHIVES, FRAMES, KIND, MASKS, MODES, TRAIN, find_pictures, masks_of
from eval.ytvos.meta import META, Listed, read_meta
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask as read_numbers

GET = f"Get {ARCHIVES} and unpack them again."
VALID = "valid"


def verify(root: Path, decode: bool = True) -> Report:
    """Check valid/ and, where they are there, train/ and every frame of valid/. Raises UserError for a wrong or empty folder
    (`open_report`)."""
    pictured = [split for split in (VALID, TRAIN) if any((root / split / name).is_dir() for name in (FRAMES, MASKS))]
    splits = pictured or [VALID]
    report = open_report(root, "ytvos", {f"{split}/{name}": GET for split in splits for name in (FRAMES, MASKS)})
    if not all((root / split / name).is_dir() for split in splits for name in (FRAMES, MASKS)):
        return report
    if (root / f"{VALID}{ALL_FRAMES}" / FRAMES).is_dir() and VALID in splits:
        splits.insert(1, f"{VALID}{ALL_FRAMES}")
    scored = [split for split in splits if _check_split(report, split, decode)]
    if VALID not in splits:
        report.notes.append(f"{VALID}/, which `python -m eval ytvos` needs, is missing. {GET}")
    if TRAIN not in splits:
        _check_categories(report, scored=bool(scored))
    counts = [
        (found, official) for what, found, official in report.counts if what in (f"{VALID} videos", f"{VALID} objects")
    ]
    whole = bool(counts) and all(found == official for found, official in counts)
    videos, objects = OFFICIAL[VALID]
    report.conclude(whole, f"the official {VALID}/ has {videos} videos with {objects} objects. {GET}")
    return report


def _check_categories(report: Report, scored: bool) -> None:
    """Check the file that names the categories of training where nothing else of them is there; whoever predicts needs none."""
    path = report.root / TRAIN / META
    if path.exists():
        try:
            read_meta(path)
        except UserError as error:
            report.problem(path, str(error), GET)
        return
    text = "scoring, not predicting, needs the categories of training"
    if scored:
        report.problem(path, f"it is missing: {text}, and masks to score with are there", GET)
    else:
        report.notes.append(f"{TRAIN}/{META} is missing: {text}. {GET}")


def _check_split(report: Report, split: str, decode: bool) -> bool:
    """Check the videos of a split; of one with every frame, only these: its masks are another's. Tells whether some of its masks
    are there to be scored."""
    annotated = masks_of(split)
    path = report.root / annotated / META
    try:
        meta = read_meta(path)
    except UserError as error:
        report.problem(path, str(error), GET)
        return False
    videos = find_videos(report, meta, split, partial(find_pictures, report.root, split), GET)
    listed = [meta[video.name] for video in videos]
    official = OFFICIAL.get(annotated, (None, None))
    report.count(f"{split} videos", len(videos), official[0])
    if split == annotated:
        report.count(f"{split} objects", sum(map(len, listed)), official[1])
    report.count(f"{split} frames", sum(len(video.frames) for video in videos))
    read = read_videos(partial(read_picture, decode=decode), [video.frames for video in videos], f"{split} frames")
    for video, pictures, objects in zip(videos, read, listed):
        video.pictures = pictures
        _check_frames(report, video, objects)
    return split == annotated and _check_masks(report, videos, listed)


def _check_frames(report: Report, video: Video, objects: tuple[Listed, ...]) -> None:
    """Report frames that are unreadable or of another size than most, and ones that meta.json lists and are not there."""
    folder = report.root / video.split / FRAMES / video.name
    check_frames(report, video.frames, video.pictures, GET)
    for number in sorted({number for listed in objects for number in listed.frames} - video.frames.keys()):
        report.problem(folder / f"{number:05d}.jpg", f"the frame is missing, which {META} lists", GET)


def _check_masks(report: Report, videos: list[Video], listed: list[tuple[Listed, ...]]) -> bool:
    """Read all masks, reporting what is wrong with them or with what is said of them, and which are missing; tells whether some
    are there to be scored."""
    read = read_videos(partial(read_mask, partial(read_numbers, modes=MODES)), [v.masks for v in videos], "masks")
    true = False  # whether some mask shows nothing new, and so is there to be scored
    for video, masks, objects in zip(videos, read, listed):
        for number, mask in masks.items():
            path = video.masks[number]
            if number not in video.frames:
                report.problem(path, "a mask without a frame", f"Delete it or add the frame. {GET}")
            check_mask(report, path, mask, video.pictures.get(number, Picture(error="missing")), KIND, GET)
            if other := sorted(mask.ids - {one.number for one in objects}):
                text = f"object {', '.join(map(str, other))} is not in {META}"
                report.problem(path, text, f"Masks and {META} are of one archive. {GET}")
        firsts = {_check_object(report, video, masks, one) for one in objects}
        true = true or not masks.keys() <= firsts
    for video, objects in zip(videos, listed) if true else ():
        for number in sorted({number for one in objects for number in one.frames} - video.masks.keys()):
            where = f"{video.split}/{MASKS}/{video.name}/{number:05d}.png"
            report.problem(where, "the mask is missing, though others are there in which no object appears", GET)
        for number in [one.number for one in objects if not one.category]:
            text = f"video {video.name}, object {number} has no category, which scoring needs"
            report.problem(report.root / video.split / META, text, GET)
    return true


def _check_object(report: Report, video: Video, masks: dict[int, Mask], one: Listed) -> int | None:
    """Return the frame whose mask shows an object first; reports where it is none, or earlier than is listed."""
    first = next((number for number, mask in masks.items() if one.number in mask.ids), None)
    if first is None:
        begin = f"which {META} lists from frame {one.frames[0]:05d} on"
        report.problem(f"{video.split}/{MASKS}/{video.name}", f"no mask of object {one.number}, {begin}", GET)
    elif first < one.frames[0]:
        text = f"object {one.number}, which {META} lists from frame {one.frames[0]:05d} on"
        report.problem(video.masks[first], text, f"Masks and {META} are of one archive. {GET}")
    return first
