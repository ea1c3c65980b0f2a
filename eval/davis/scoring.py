"""Score predicted masks: J and F of every object and frame, their statistics, and the table over objects."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.davis.dataset import Video
from eval.metrics.j_and_f import statistics
from eval.metrics.packed_j_and_f import score_frame
from eval.propagation.masks import require_size
from eval.propagation.scores import score_each
from eval.table import write_table
from flsl.runtime.errors import UserError

STATISTICS = ("J", "J_recall", "J_decay", "F", "F_recall", "F_decay")


@dataclass(frozen=True)
class VideoScore:
    """J and F of one video, 0..1: `values` (2, objects, scored frames) float64; `warnings` on its annotations."""

    name: str
    values: np.ndarray
    warnings: tuple[str, ...] = ()

    def table(self) -> np.ndarray:
        """Return the STATISTICS of each object, in percent: (objects, 6)."""
        rows = [[*statistics(j), *statistics(f)] for j, f in zip(*self.values)]
        return 100 * np.array(rows)


def score_videos(videos: Sequence[Video], predictions: Path, backend: str = "packed") -> Iterator[VideoScore]:
    """Score the masks `predictions/<video>/<frame>.png`, yielding one result a video, in order.

    Raises:
        UserError: see `score_video`.
    """
    if backend == "official":
        frame_score = official_frame_score()
        return (score_video(video, predictions / video.name, frame_score) for video in videos)
    return score_each(score_video, videos, predictions, sum(len(video.scored_masks) for video in videos))


def score_video(
    video: Video, folder: Path, frame_score: Callable[[np.ndarray, np.ndarray, int], np.ndarray] = score_frame
) -> VideoScore:
    """Score one video as the official tool does in the semi-supervised task.

    The first and last frame are left out; void is background; the objects are 1 to the highest id of the first
    annotation. An object that only appears later is ignored, one that vanishes or is never predicted scores by its
    absence.

    Raises:
        UserError: a mask is missing, damaged, of another size, or holds an id that the video does not have.
    """
    first = video.read_first()
    objects = int(first.max())
    if objects == 0:
        raise UserError(f"{video.masks[0]} holds no object: there is nothing to score. Check the annotation.")
    values = np.empty((2, objects, len(video.scored_masks)))
    for index, path in enumerate(video.scored_masks):
        truth, predicted = video.edition.read_truth(path), folder / path.name
        mask = video.edition.read_prediction(predicted)
        require_size(mask, predicted, truth.shape, path)
        if mask.max() > objects:
            raise UserError(
                f"{predicted} holds the object id {mask.max()}, but {video.masks[0]} has the objects 1 to {objects}. "
                "The index of a pixel must be the id of its object, 0 for the background."
            )
        values[:, :, index] = frame_score(truth, mask, objects)
    absent = sorted(set(range(1, objects + 1)) - set(np.unique(first).tolist()))
    warnings = [
        f"{video.name}: object {n} is not in the first frame, but counts, as in the official tool" for n in absent
    ]
    return VideoScore(video.name, values, tuple(warnings))


def official_frame_score() -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    """Return a frame score that calls the public `davis2017` package. Raises UserError if it is not installed."""
    try:
        from davis2017.metrics import db_eval_boundary, db_eval_iou
    except ImportError as error:
        raise UserError(
            f"--metric-backend official needs the public davis2017 package ({error}): install it from a clone of "
            "davischallenge/davis2017-evaluation (`python -m results doctor` shows the commands), or use --metric-backend "
            "packed, which gives the same numbers four times as fast."
        ) from error

    def score(truth: np.ndarray, mask: np.ndarray, objects: int) -> np.ndarray:
        pairs = [(truth == number, mask == number) for number in range(1, objects + 1)]
        return np.array([[db_eval_iou(*pair) for pair in pairs], [db_eval_boundary(*pair) for pair in pairs]])

    return score


def global_scores(sums: np.ndarray) -> dict[str, float]:
    """Return the record's metrics from rows (videos, 7): sums of the STATISTICS over objects, and their number."""
    means = sums[:, :-1].sum(axis=0) / sums[:, -1].sum()
    scores = dict(zip(STATISTICS, means.tolist()))
    return {"J&F": (scores["J"] + scores["F"]) / 2, **scores}


def global_score(name: str, sums: np.ndarray) -> float:
    """Return one of the `global_scores`."""
    return global_scores(sums)[name]


def sums_over_objects(scores: Iterable[VideoScore]) -> np.ndarray:
    """Return one row a video for `global_scores`: the units that the bootstrap draws."""
    tables = [score.table() for score in scores]
    return np.array([[*table.sum(axis=0), len(table)] for table in tables])


def write_objects(scores: Iterable[VideoScore], path: Path) -> None:
    """Write the table over objects as CSV: percent at full precision, one row an object."""
    rows = []
    for score in scores:
        for number, values in enumerate(score.table().tolist(), start=1):
            row = dict(zip(STATISTICS, values))
            place = {"sequence": score.name, "object": number, "frames": score.values.shape[2]}
            rows.append(place | {"J&F": (row["J"] + row["F"]) / 2} | row)
    write_table(path, rows)
