"""Score predicted masks: J and F of every object, and their means over seen and unseen categories."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.metrics.packed_j_and_f import score_frame
from eval.propagation.masks import require_size
from eval.propagation.scores import score_each
from eval.table import write_table
from eval.ytvos.data import Object, Video
from eval.ytvos.files import numbers_in
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_mask

HEADLINE = "G"
MEANS = ("J_seen", "J_unseen", "F_seen", "F_unseen")  # G is the mean of these
METRICS = (HEADLINE, *MEANS)


@dataclass(frozen=True)
class ObjectScore:
    """J and F in percent of an object over the `frames` after its first; NaN where there is none."""

    object: Object
    j: float
    f: float
    frames: int


@dataclass(frozen=True)
class VideoScore:
    """The scores of the objects of one video, by number."""

    name: str
    objects: tuple[ObjectScore, ...]

    def row(self, seen: Collection[str]) -> np.ndarray:
        """Return sums over objects of seen and of unseen categories (4,) in the order of MEANS, and their numbers (2,)."""
        row = np.zeros(6)
        for score in self.objects:
            if score.frames:
                unseen = int(score.object.category not in seen)
                row[[unseen, 2 + unseen, 4 + unseen]] += (score.j, score.f, 1)
        return row


def score_videos(videos: Sequence[Video], predictions: Path) -> Iterator[VideoScore]:
    """Score the masks `predictions/<video>/<frame>.png`, yielding one result a video, in order.

    Raises:
        UserError: see `score_video`.
    """
    return score_each(score_video, videos, predictions, sum(len(video.scored) for video in videos))


def score_video(video: Video, folder: Path) -> VideoScore:
    """Score one video: the mean J and F of each object over all listed frames after its first, whether it is seen there or not.

    Raises:
        UserError: a mask is missing, damaged, of another size, or holds a number that is no object's.
    """
    numbers = np.array([one.number for one in video.objects])
    values = np.full((2, len(numbers), len(video.scored)), np.nan)
    for at, index in enumerate(video.scored):
        truth = video.read_truth(index)
        frame = score_frame(truth, read_prediction(video, index, folder), int(numbers.max()))  # (2, highest number)
        appeared = np.array([one.first < index for one in video.objects])
        values[:, appeared, at] = frame[:, numbers[appeared] - 1]
    counts = np.isfinite(values[0]).sum(axis=1).tolist()
    means = [
        100 * values[:, at, values.shape[2] - count :].mean(axis=1) if count else (np.nan, np.nan)
        for at, count in enumerate(counts)
    ]
    return VideoScore(
        video.name,
        tuple(ObjectScore(one, float(j), float(f), count) for one, (j, f), count in zip(video.objects, means, counts)),
    )


def read_prediction(video: Video, index: int, folder: Path) -> np.ndarray:
    """Return the predicted numbers (H, W) uint8 of a frame of a video; UserError where they cannot be scored."""
    path = folder / video.masks[index].name
    mask = read_mask(path)
    require_size(mask, path, video.size, video.masks[index])
    numbers = [one.number for one in video.objects]
    if other := sorted(numbers_in(mask) - set(numbers)):
        raise UserError(
            f"{path} holds the object {other[0]}, but {video.name} has the objects {', '.join(map(str, numbers))}. The index of "
            "a pixel must be the number of its object, 0 for the background."
        )
    return mask


def means_of(rows: np.ndarray) -> dict[str, float]:
    """Return METRICS from rows of `VideoScore.row` (videos, 6): NaN where no object is of such a category, and G the mean of
    the others."""
    total = rows.sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = total[:4] / np.tile(total[4:], 2)
    defined = means[np.isfinite(means)]
    return {HEADLINE: float(defined.mean()) if len(defined) else np.nan} | dict(zip(MEANS, means.tolist()))


def write_objects(scores: Iterable[VideoScore], seen: Collection[str], path: Path) -> None:
    """Write the table over objects as CSV: percent at full precision, one row an object, empty where none is scored."""
    rows = [
        {
            "video": video.name,
            "object": score.object.number,
            "category": score.object.category,
            "seen": score.object.category in seen,
            "frames": score.frames,
            "J": score.j if score.frames else None,
            "F": score.f if score.frames else None,
        }
        for video in scores
        for score in video.objects
    ]
    write_table(path, rows)
