"""Score predicted parts: mIoU of every video and of all, and a picture of the worst and best."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eval.metrics.segmentation import ImageConfusions
from eval.progress import tracked
from eval.propagation.sheet import Cell, Row, cell_size, moments, paint, read_shown, write_sheet
from eval.vip.data import CLASSES, Video, read_parts
from flsl.confusion import VOID, confusion
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask


def score_videos(videos: Sequence[Video], predictions: Path) -> ImageConfusions:
    """Return the confusion matrix of each video over all of its frames, the first one's included; none where all is void.

    Raises:
        UserError: a mask is missing, damaged, of another size, or holds an id that is no part's, or all is void everywhere.
    """
    scores = ImageConfusions(len(CLASSES), unit="videos")
    for video in tracked(videos, "scoring: video", len(videos)):
        total = np.zeros(scores.shape, np.int64)
        for path in video.masks:
            total += confusion(read_parts(path), read_prediction(video, path, predictions), len(CLASSES))
        if total.any():
            scores.add(video.name, total)
    if not scores.names:
        raise UserError(f"{videos[0].masks[0].parent} and all other annotations are void: there is nothing to score.")
    return scores


def read_prediction(video: Video, annotation: Path, predictions: Path) -> np.ndarray:
    """Return the predicted part ids (H, W) uint8 for an annotation of a video; UserError where they cannot be scored."""
    path = predictions / video.name / annotation.name
    mask = read_mask(path)
    if mask.shape != video.size:
        raise UserError(
            f"{path} has {mask.shape[1]}x{mask.shape[0]} pixels, but its annotation {annotation} has "
            f"{video.size[1]}x{video.size[0]}. Resize predictions to the annotations."
        )
    if mask.max() >= len(CLASSES):
        raise UserError(
            f"{path} holds the value {mask.max()}, but the ids of parts are 0 (background) to {len(CLASSES) - 1}. The value of "
            "a pixel must be the id of its part."
        )
    return mask


def write_pictures(
    videos: Sequence[Video], predictions: Path, scores: Mapping[str, float], title: str, path: Path
) -> None:
    """Write a sheet of videos, given from worst to best: prediction above ground truth; `scores` are theirs by name."""
    rows = []
    for video in videos:
        cells = []
        for index in moments(len(video.masks)):
            annotation = video.masks[index]
            truth, size = read_parts(annotation), cell_size(video.size)
            frame = read_shown(video.frames, index, video.size)
            both = read_prediction(video, annotation, predictions), np.where(truth == VOID, np.uint8(0), truth)
            cells.append(Cell(tuple(paint(frame, parts, size) for parts in both), annotation.stem))
        rows.append(Row(f"{video.name}: mIoU over its own parts {scores[video.name]:.1f}", tuple(cells)))
    write_sheet(rows, f"{title}, worst first: prediction above, ground truth below", path)
