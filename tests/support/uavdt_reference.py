"""The rules of `uavdt/official@1` in plain loops, as one would read them aloud: slow, for tests of the fast path."""

import numpy as np

from eval.uavdt.files import SequenceDetections, SequenceTruth
from eval.uavdt.sequences import WITHOUT_IGNORE


def inside(box: np.ndarray, region: np.ndarray) -> bool:
    """Whether a box (left, top, width, height) lies strictly inside a region: touching an edge is outside."""
    (x, y, w, h), (gx, gy, gw, gh) = box, region
    return bool(x > gx and y > gy and x + w < gx + gw and y + h < gy + gh)


def overlap(detection: np.ndarray, truth: np.ndarray, ignored: bool) -> float:
    """Intersection over union; over the detection's area where the ground truth is an ignored box."""
    (x, y, w, h), (gx, gy, gw, gh) = detection, truth
    width = min(x + w, gx + gw) - max(x, gx)
    height = min(y + h, gy + gh) - max(y, gy)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (w * h) if ignored else shared / (w * h + gw * gh - shared)


def match_frame(
    detections: np.ndarray, scores: np.ndarray, truth: np.ndarray, counted: np.ndarray, threshold: float = 0.7
) -> list[tuple[float, int]]:
    """Match one frame greedily; returns (score, 1 right | 0 wrong | -1 ignored) by falling score."""
    taken = [False] * len(truth)
    result = []
    for d in sorted(range(len(detections)), key=lambda d: -scores[d]):  # sorted() is stable
        best, best_overlap = None, threshold
        for g in range(len(truth)):
            if counted[g] and not taken[g]:
                value = overlap(detections[d], truth[g], ignored=False)
                if value >= best_overlap:  # equal overlaps: the later box
                    best, best_overlap = g, value
        if best is not None:
            taken[best] = True
            result.append((scores[d], 1))
        elif any(
            overlap(detections[d], truth[g], ignored=True) >= threshold for g in range(len(truth)) if not counted[g]
        ):
            result.append((scores[d], -1))
        else:
            result.append((scores[d], 0))
    return result


def average_precision(
    pairs: list[tuple[SequenceTruth, SequenceDetections]], counted: list[np.ndarray] | None = None
) -> tuple[float, list[float], list[float]]:
    """Return AP in percent, recall and precision of sequences pooled in the given order.

    `counted` says for each sequence which boxes count (default: all); the others are ignored.
    """
    results, boxes = [], 0
    for index, (truth, detections) in enumerate(pairs):
        counts = np.ones(len(truth.frame), bool) if counted is None else counted[index]
        for frame in range(1, truth.length + 1):
            regions = truth.ignore_box[truth.ignore_frame == frame]
            here = [
                d
                for d in np.flatnonzero(detections.frame == frame)
                if truth.name in WITHOUT_IGNORE or not any(inside(detections.box[d], region) for region in regions)
            ]
            rows = truth.frame == frame
            results += match_frame(detections.box[here], detections.score[here], truth.box[rows], counts[rows])
            boxes += int(counts[rows].sum())
    right = wrong = 0
    recall, precision = [], []
    for _, state in sorted(results, key=lambda result: -result[0]):
        right, wrong = right + (state == 1), wrong + (state == 0)
        recall.append(right / max(1, boxes))
        precision.append(right / max(1, right + wrong))
    area = previous = 0.0
    for index, value in enumerate(recall):
        if value != previous:
            area += (value - previous) * max(precision[index:])
            previous = value
    return 100.0 * area, recall, precision
