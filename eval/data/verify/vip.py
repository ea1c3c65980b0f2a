"""Check a copy of VIP (docs/protocols.md, "VIP"): lists, frames and their masks, sizes, part ids."""

from functools import partial
from pathlib import Path

from eval.data.verify.files import Picture, read_picture, read_videos
from eval.data.verify.frames import Video, check_frames, check_mask, find_videos, read_mask
from eval.data.verify.report import Report, open_report
from eval.vip.data import ARCHIVE, FRAMES, KIND, LISTS, MASKS, OFFICIAL, find_pictures, read_list, read_parts
from flsl.runtime.errors import UserError
from flsl.runtime.text import shorten

GET = f"Get {ARCHIVE} and unpack it again."


def verify(root: Path, decode: bool = True) -> Report:
    """Check the val split, and what is there of the train split. Raises UserError for a wrong or empty folder (`open_report`)."""
    folders = (FRAMES, MASKS, LISTS)
    report = open_report(root, "vip", dict.fromkeys(folders, GET))
    if not all((root / folder).is_dir() for folder in folders):
        return report
    videos = [video for split in ("val", "train") for video in _find_videos(report, split)]
    if not videos:
        report.problem(LISTS, "no video is listed in val_videos.txt or train_videos.txt", GET)
    _read_frames(report, videos, decode)
    _check_masks(report, videos)
    there = {video.name for video in videos if video.split == "val"}
    missing = [name for name in OFFICIAL if name not in there]
    said = f"{len(missing)} official val videos are missing: {shorten(missing)}. {GET}"
    report.conclude(there == set(OFFICIAL), said if missing else "")
    return report


def _find_videos(report: Report, split: str) -> list[Video]:
    """Return the videos of a list, those of the train split only where it has any file of them."""
    path = report.root / LISTS / f"{split}_videos.txt"
    if not report.has_file(path, GET, evaluated=split == "val"):
        return []
    try:
        names = read_list(path)
    except UserError as error:
        report.problem(path, str(error), GET)
        return []
    videos = find_videos(report, names, split, partial(find_pictures, report.root), GET)
    if split == "train":
        absent = [video for video in videos if not video.frames and not video.masks]
        videos = [video for video in videos if video not in absent]
        if absent:
            report.notes.append(f"{len(absent)} train videos are not there: evaluation needs none of them")
    report.count(f"{split} videos", len(videos), len(OFFICIAL) if split == "val" else None)
    report.count(f"{split} frames", sum(len(video.frames) for video in videos))
    return videos


def _read_frames(report: Report, videos: list[Video], decode: bool) -> None:
    """Read all frames, reporting what is wrong with them, and which of them or of their masks are missing."""
    read = read_videos(partial(read_picture, decode=decode), [video.frames for video in videos], "frames")
    for video, pictures in zip(videos, read):
        video.pictures = pictures
        for folder, files in ((FRAMES, video.frames), (MASKS, video.masks)):
            if not files:
                kind = "frames" if folder == FRAMES else "masks"
                report.problem(
                    f"{folder}/{video.name}", f"no {kind} of this video, which {video.split}_videos.txt lists", GET
                )
        check_frames(report, video.frames, pictures, GET)
        if not video.frames or not video.masks:
            continue
        for number in sorted(video.frames.keys() - video.masks.keys()):
            report.problem(f"{MASKS}/{video.name}/{video.frames[number].stem}.png", "the mask is missing", GET)
        for number in sorted(video.masks.keys() - video.frames.keys()):
            report.problem(video.masks[number], "a mask without a frame", f"Delete it or add the frame. {GET}")
        if len(video.masks) == 1:
            report.problem(video.masks[min(video.masks)], "the only mask of its video, which needs two or more", GET)


def _check_masks(report: Report, videos: list[Video]) -> None:
    """Read all masks, reporting unreadable ones, other ids and other sizes than their frames have."""
    read = read_videos(partial(read_mask, read_parts), [video.masks for video in videos], "masks")
    for video, masks in zip(videos, read):
        for number, mask in masks.items():
            picture = video.pictures.get(number, Picture(error="missing"))
            check_mask(report, video.masks[number], mask, picture, KIND, GET)
