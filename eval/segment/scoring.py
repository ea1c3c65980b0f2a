"""Score saved predictions of classes: mIoU with its interval, tables by class, scores of single images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from eval.metrics.segmentation import ImageConfusions, match_clusters, merge_clusters
from eval.segment.datasets import Split
from eval.segment.predictions import Predictions
from eval.segment.protocols import Protocol
from flsl.confusion import class_ious, confusion, mean_iou
from flsl.runtime.errors import UserError
from results.record import Interval


@dataclass(frozen=True)
class Scores:
    """What a record and its tables are made of.

    Attributes:
        values: metric -> percent.
        intervals: of some of them.
        per_image: image -> its own scores.
        total: confusion matrix (C, C) over all images, of classes.
        warnings: what a reader must know.
        prediction: returns the classes (H, W) of image i of the split, for pictures.
    """

    values: dict[str, float | None]
    intervals: dict[str, Interval]
    per_image: dict[str, dict[str, float]]
    total: np.ndarray
    prediction: Callable[[int], np.ndarray]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scored:
    """What is scored: predictions of some images of a split.

    Attributes:
        predictions: the files.
        split: images and truth.
        chosen: indices of the images.
        classes: their names.
        protocol: at which size, and what an absent class counts.
        patch_size: of the encoder; 0 where it is not known.
        seed: of the resampling.
    """

    predictions: Predictions
    split: Split
    chosen: Sequence[int]
    classes: tuple[str, ...]
    protocol: Protocol
    patch_size: int = 0
    seed: int = 0

    def pair(self, image: int, part: str = "", count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the truth at the evaluated size and the prediction of an image, whose numbers are below `count`.

        Raises UserError: see `Split.mask` and `Predictions.read`.
        """
        truth, count = self.truth(image), count or len(self.classes)
        return truth, self.predictions.read(self.split.names[image], part, shape=truth.shape, count=count)

    def truth(self, image: int) -> np.ndarray:
        """Return the truth of an image at the evaluated size. Raises UserError: see `Split.mask`."""
        mask = self.split.mask(image)
        return self.protocol.truth(mask, self.protocol.evaluated_shape(mask.shape, self.patch_size or 1))


def score_classes(scored: Scored, metrics: Sequence[str]) -> Scores:
    """Score predictions of classes.

    Args:
        scored: what.
        metrics: names out of `mIoU` and `mIoU_matched`.

    Raises:
        UserError: a prediction or mask cannot be used, or no mask has a pixel of a class.
    """
    images, absent = ImageConfusions(len(scored.classes)), scored.protocol.absent
    for image in scored.chosen:
        images.add(scored.split.names[image], confusion(*scored.pair(image), len(scored.classes)))
    total = images.total()
    if not total.sum():
        raise UserError(
            f"no pixel of the {len(scored.chosen)} masks of {scored.split.name} has a class, all are void: there is nothing to score. "
            "Check the masks with `python -m eval data verify segment DATA`."
        )
    statistics = {"mIoU": lambda matrix: mean_iou(matrix, absent)}
    if "mIoU_matched" in metrics:
        # Of all images; matched anew, a drawn sample would find the best for itself and score too high.
        match = match_clusters(total, "one_to_one")
        statistics["mIoU_matched"] = lambda matrix: mean_iou(merge_clusters(matrix, match))
    values = {name: _number(statistics[name](total)) for name in metrics}
    intervals = {
        name: images.interval(statistics[name], seed=scored.seed) for name in metrics if values[name] is not None
    }
    scores = {name: images.image_score(number) for number, name in enumerate(images.names)}
    return Scores(
        values,
        intervals,
        {name: {"mIoU": score} for name, score in scores.items() if score is not None},
        total,
        lambda image: scored.pair(image)[1],
        absent_warnings(total, scored.classes, scored.protocol),
    )


def absent_warnings(total: np.ndarray, classes: Sequence[str], protocol: Protocol) -> list[str]:
    """Say which classes have no pixel at all, and what they count."""
    without = [name for name, iou in zip(classes, class_ious(total, "left out")) if np.isnan(iou)]
    if not without:
        return []
    counts = "count as IoU 0 in the mean" if protocol.absent == "zero" else "are left out of the mean"
    shown = ", ".join(without[:10]) + (f" and {len(without) - 10} more" if len(without) > 10 else "")
    return [f"classes that are neither in the truth nor predicted {counts}, as in the protocol's source: {shown}"]


def _number(score: float) -> float | None:
    return score if np.isfinite(score) else None
