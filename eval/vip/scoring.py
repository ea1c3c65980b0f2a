"""Score predicted parts: mIoU of every video and of all, and a picture of the worst and best."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from eval.metrics.segmentation import ImageConfusions
from eval.progress import tracked
from eval.propagation.masks import require_size
from eval.propagation.sheet import moments, painted_row, write_sheet
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
    require_size(mask, path, video.size, annotation)
    if mask.max() >= len(CLASSES):
        raise UserError(
            f"{path} holds the value {mask.max()}, but the ids of parts are 0 (background) to {len(CLASSES) - 1}. The value of "
            "a pixel must be the id of its part."
        )
    return mask


def _both(video: Video, predictions: Path, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the part ids that were predicted for a frame, and the true ones, void as background."""
    truth = read_parts(video.masks[index])
    return read_prediction(video, video.masks[index], predictions), np.where(truth == VOID, np.uint8(0), truth)


def write_pictures(
    videos: Sequence[Video], predictions: Path, scores: Mapping[str, float], title: str, path: Path
) -> None:
    """Write a sheet of videos, given from worst to best: prediction above ground truth; `scores` are theirs by name."""
    rows = []
    for video in videos:
        title = f"{video.name}: mIoU over its own parts {scores[video.name]:.1f}"
        rows.append(painted_row(title, video, moments(len(video.masks)), partial(_both, video, predictions)))
    write_sheet(rows, f"{title}, worst first: prediction above, ground truth below", path)
