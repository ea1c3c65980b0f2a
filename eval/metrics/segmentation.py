"""mIoU of clusters that are matched to classes, and over drawn images, from confusion matrices (`flsl.confusion`)."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

import numpy as np

from flsl.confusion import class_ious, mean_iou
from results.bootstrap import percentile_interval
from results.record import Interval

Matching = Literal["one_to_one", "many_to_one", "many_to_one_precision"]


def match_clusters(matrix: np.ndarray, kind: Matching) -> np.ndarray:
    """Return the class (P,) int64 that each cluster stands for, from a confusion matrix (C, P).

    Args:
        matrix: pixels of each class (row) in each cluster (column).
        kind: `one_to_one` maximizes the sum of IoUs, clusters that are left over become class 0; `many_to_one` gives a
            cluster to the class of largest IoU, `many_to_one_precision` to the class of most of its pixels.
    """
    matrix = matrix.astype(np.float64)
    if kind == "many_to_one_precision":
        return matrix.argmax(axis=0)
    union = matrix.sum(axis=1, keepdims=True) + matrix.sum(axis=0, keepdims=True) - matrix
    ious = matrix / np.maximum(union, 1)
    if kind == "many_to_one":
        return ious.argmax(axis=0)
    from scipy.optimize import linear_sum_assignment  # takes a while

    found = np.zeros(matrix.shape[1], np.int64)
    classes, clusters = linear_sum_assignment(1.0 - ious)  # with the source's ties
    found[clusters] = classes
    return found


def merge_clusters(matrix: np.ndarray, match: np.ndarray) -> np.ndarray:
    """Return the confusion matrix (C, C) after each cluster became a class, from (C, P) and the classes (P,)."""
    merged = np.zeros((len(matrix), len(matrix)), matrix.dtype)
    np.add.at(merged.T, match, matrix.T)
    return merged


def class_rows(total: np.ndarray, classes: Sequence[str]) -> list[dict[str, object]]:
    """Return one row per class: its IoU in percent (None where it has no pixel), and its pixels."""
    ious = class_ious(total, "left out")
    return [
        {
            "class": name,
            "IoU": None if np.isnan(ious[number]) else 100 * float(ious[number]),
            "true_pixels": int(total[number].sum()),
            "predicted_pixels": int(total[:, number].sum()),
            "right_pixels": int(total[number, number]),
        }
        for number, name in enumerate(classes)
    ]


class ImageConfusions:
    """The confusion matrices of single images, or videos: their sum, scores of each, and the bootstrap over them.

    Only cells that are not 0 are kept, so that thousands of images with hundreds of clusters fit.
    """

    def __init__(self, classes: int, predicted: int | None = None, unit: str = "images"):
        self.unit = unit
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

    def total(self, times: np.ndarray | None = None) -> np.ndarray:
        """Return the sum over all images, (C, P) int64; `times` (images,) says how often each counts.

        Below 2^53 pixels float64 is exact.
        """
        times = np.ones(len(self.names)) if times is None else times
        cells, pixels, images = self._flat
        summed = np.bincount(cells, times[images] * pixels, minlength=self.shape[0] * self.shape[1])
        return summed.astype(np.int64).reshape(self.shape)

    def image_score(self, index: int) -> float | None:
        """Return the mean IoU in percent over the classes that an image holds or is taken to hold; None if all is void."""
        score = mean_iou(self.one(index), "left out")
        return score if np.isfinite(score) else None

    def interval(self, statistic: Callable[[np.ndarray], float], *, seed: int = 0) -> Interval:
        """Return the 95 % interval of a statistic of the summed confusion matrix over images drawn with replacement."""
        numbers = np.arange(len(self.names))
        count = len(numbers)

        def drawn(images: np.ndarray) -> float:
            return statistic(self.total(np.bincount(images, minlength=count)))

        return percentile_interval(numbers, drawn, unit=self.unit, seed=seed)

    @cached_property
    def _flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cell, pixels and image of every entry, one behind the other."""
        images = np.repeat(np.arange(len(self._cells)), [len(cells) for cells in self._cells])
        empty = np.zeros(0, np.int64)
        return np.concatenate([empty, *self._cells]), np.concatenate([empty, *self._pixels]), images
