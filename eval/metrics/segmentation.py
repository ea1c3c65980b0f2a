"""mIoU from confusion matrices: of classes as predicted, of clusters that are matched to classes, and over drawn images.

A confusion matrix is (C, P) int64: pixels whose true class is the row and whose prediction is the column. Void pixels are
in none. With TP on the diagonal, IoU = TP / (TP + FP + FN) over all pixels of a split.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np

from flsl.runtime.errors import UserError
from results.bootstrap import percentile_interval
from results.record import Interval

VOID = 255
Matching = Literal["one_to_one", "many_to_one", "many_to_one_precision"]
# What a class counts that is neither in the truth nor predicted: Hummingbird and Leopart give it IoU 0, which keeps it in
# the mean; mmsegmentation, and DINOv3 with it, leaves it out.
Absent = Literal["zero", "left out"]


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int, predicted: int | None = None) -> np.ndarray:
    """Return the confusion matrix (classes, predicted) int64 of masks of equal shape.

    Args:
        truth: class of each pixel, 0..classes - 1, or VOID.
        prediction: class or cluster of each pixel, 0..predicted - 1; what stands on void pixels does not count.
        classes: number of classes.
        predicted: number of clusters; None is the number of classes.

    Raises:
        ValueError: another shape, or an id that does not exist.
    """
    predicted = classes if predicted is None else predicted
    if truth.shape != prediction.shape:
        raise ValueError(f"the truth has shape {truth.shape}, the prediction {prediction.shape}")
    valid = truth != VOID
    rows, columns = truth[valid].astype(np.int64), prediction[valid].astype(np.int64)
    for what, ids, count in (("true", rows, classes), ("predicted", columns, predicted)):
        if len(ids) and not 0 <= ids.min() <= ids.max() < count:
            raise ValueError(f"the {what} ids run from {ids.min()} to {ids.max()}, but must be 0 to {count - 1}")
    return np.bincount(rows * predicted + columns, minlength=classes * predicted).reshape(classes, predicted)


def counts(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return TP, FP and FN of each class, (C,) each, of a confusion matrix (C, C)."""
    right = np.diagonal(matrix)
    return right, matrix.sum(axis=0) - right, matrix.sum(axis=1) - right


def class_ious(matrix: np.ndarray, absent: Absent = "zero") -> np.ndarray:
    """Return the IoU of each class, (C,) float64 in 0..1; `absent` says what a class counts that has no pixel at all.

    "zero" gives it 0, "left out" NaN.
    """
    right, wrong, missed = counts(matrix)
    union = right + wrong + missed
    return np.where(union > 0, right / np.maximum(union, 1), 0.0 if absent == "zero" else np.nan)


def mean_iou(matrix: np.ndarray, absent: Absent = "zero") -> float:
    """Return the mean IoU over classes in percent; NaN where no class has a pixel and absent ones are left out."""
    ious = class_ious(matrix, absent)
    return 100.0 * float(np.nanmean(ious)) if np.isfinite(ious).any() else float("nan")


def match_clusters(matrix: np.ndarray, kind: Matching) -> np.ndarray:
    """Return the class (P,) int64 that each cluster stands for, from a confusion matrix (C, P).

    Args:
        matrix: pixels of each class (row) in each cluster (column).
        kind: `one_to_one` maximizes the sum of IoUs, clusters that are left over become class 0; `many_to_one` gives a
            cluster to the class of largest IoU, `many_to_one_precision` to the class of most of its pixels.

    Raises:
        UserError: one_to_one needs scipy, which is not installed.
    """
    matrix = matrix.astype(np.float64)
    if kind == "many_to_one_precision":
        return matrix.argmax(axis=0)
    union = matrix.sum(axis=1, keepdims=True) + matrix.sum(axis=0, keepdims=True) - matrix
    ious = matrix / np.maximum(union, 1)
    if kind == "many_to_one":
        return ious.argmax(axis=0)
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise UserError(f"matching needs scipy ({error}): pip install 'flsl-suite[segmentation]'") from error
    found = np.zeros(matrix.shape[1], np.int64)
    classes, clusters = linear_sum_assignment(1.0 - ious)  # with the source's ties
    found[clusters] = classes
    return found


def merge_clusters(matrix: np.ndarray, match: np.ndarray) -> np.ndarray:
    """Return the confusion matrix (C, C) after each cluster became a class, from (C, P) and the classes (P,)."""
    merged = np.zeros((len(matrix), len(matrix)), matrix.dtype)
    np.add.at(merged.T, match, matrix.T)
    return merged


def matched_iou(matrix: np.ndarray, kind: Matching = "one_to_one") -> float:
    """Return the mean IoU in percent after clusters (or predicted classes) were matched to classes; absent ones count 0."""
    return mean_iou(merge_clusters(matrix, match_clusters(matrix, kind)))


class ImageConfusions:
    """The confusion matrices of single images: their sum, scores of each, and the bootstrap over images.

    Only cells that are not 0 are kept, so that thousands of images with hundreds of clusters fit.
    """

    def __init__(self, classes: int, predicted: int | None = None):
        self.shape = (classes, classes if predicted is None else predicted)
        self.names: list[str] = []
        self._cells: list[np.ndarray] = []
        self._pixels: list[np.ndarray] = []

    def add(self, name: str, matrix: np.ndarray) -> None:
        """Add an image's confusion matrix, of the shape of all."""
        flat = matrix.ravel()
        self.__dict__.pop("_flat", None)
        self.names.append(name)
        self._cells.append(np.flatnonzero(flat))
        self._pixels.append(flat[self._cells[-1]])

    def one(self, index: int) -> np.ndarray:
        """Return the confusion matrix of one image."""
        matrix = np.zeros(self.shape, np.int64)
        matrix.flat[self._cells[index]] = self._pixels[index]
        return matrix

    def total(self) -> np.ndarray:
        """Return the sum over all images, (C, P) int64."""
        return self._sums(np.ones(len(self.names)))

    def image_score(self, index: int, absent: Absent = "left out") -> float | None:
        """Return the mean IoU in percent over the classes that an image holds or is taken to hold; None if all is void."""
        score = mean_iou(self.one(index), absent)
        return score if np.isfinite(score) else None

    def interval(self, statistic: Callable[[np.ndarray], float], *, seed: int = 0) -> Interval:
        """Return the 95 % interval of a statistic of the summed confusion matrix over images drawn with replacement."""
        numbers = np.arange(len(self.names))
        count = len(numbers)

        def drawn(images: np.ndarray) -> float:
            return statistic(self._sums(np.bincount(images, minlength=count)))

        return percentile_interval(numbers, drawn, unit="images", seed=seed)

    def _sums(self, times: np.ndarray) -> np.ndarray:
        """Return the sum of the matrices, each `times` (images,) over; below 2^53 pixels float64 is exact."""
        cells, pixels, images = self._flat
        summed = np.bincount(cells, times[images] * pixels, minlength=self.shape[0] * self.shape[1])
        return summed.astype(np.int64).reshape(self.shape)

    @cached_property
    def _flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cell, pixels and image of every entry, one behind the other."""
        images = np.repeat(np.arange(len(self._cells)), [len(cells) for cells in self._cells])
        empty = np.zeros(0, np.int64)
        return np.concatenate([empty, *self._cells]), np.concatenate([empty, *self._pixels]), images
