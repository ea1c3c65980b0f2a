"""mIoU from confusion matrices of class maps.

A confusion matrix is (C, P) int64: pixels whose true class is the row and whose prediction is the column. Void pixels are
in none. With TP on the diagonal, IoU = TP / (TP + FP + FN) over all pixels of a split.
"""

from typing import Literal

import numpy as np

VOID = 255
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
