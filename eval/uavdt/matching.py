"""Which detections may be matched to which boxes by the official toolkit's rules, vectorized over a sequence's frames.

`eval/uavdt/reference.py` says the same in plain loops; a test holds both equal.
"""

from collections.abc import Iterator

import numpy as np

from eval.detector.matching import Candidates
from eval.uavdt.detections import SequenceDetections
from eval.uavdt.ground_truth import SequenceTruth

IOU_THRESHOLD = 0.7

# Pairs of boxes looked at together: small enough to stay in the processor's cache (2**20 takes half as long again).
_PAIRS_AT_ONCE = 1 << 16


def outside_ignore(truth: SequenceTruth, detections: SequenceDetections) -> np.ndarray:
    """Return a boolean array: False where a detection lies strictly inside one ignore box of its frame."""
    keep = np.ones(len(detections.frame), bool)
    edges = _edges(detections.box)
    ignore = _edges(truth.ignore_box)
    for d, g in _touching_pairs(detections.frame, edges, truth.ignore_frame, ignore):
        box, region = edges[d], ignore[g]
        inside = (box[:, :2] > region[:, :2]).all(axis=1) & (box[:, 2:] < region[:, 2:]).all(axis=1)
        keep[d[inside]] = False
    return keep


def find_candidates(
    truth_frame: np.ndarray,
    truth_box: np.ndarray,
    frame: np.ndarray,
    box: np.ndarray,
    score: np.ndarray,
    threshold: float = IOU_THRESHOLD,
) -> Candidates:
    """List the pairs of the same frame whose IoU, or whose share of the detection, reaches the threshold.

    Args:
        truth_frame: (boxes,) int; truth_box: (boxes, 4) left, top, width, height.
        frame: (detections,) int; box: (detections, 4); score: (detections,), in any order.
        threshold: the lowest one that `assign` will be asked for.
    """
    order = np.lexsort((-score, frame))  # stable, as the toolkit's sort is
    frame, box = frame[order], box[order]
    found = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0))]
    for d, g in _touching_pairs(frame, _edges(box), truth_frame, _edges(truth_box)):
        iou, cover = _overlaps(box[d], truth_box[g])
        near = (iou >= threshold) | (cover >= threshold)
        found.append((d[near], g[near], iou[near], cover[near]))
    return Candidates(frame, score[order], *(np.concatenate(column) for column in zip(*found)))


def _touching_pairs(
    frame: np.ndarray, edges: np.ndarray, other_frame: np.ndarray, other_edges: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs of `_pairs_of_frames` that share some width, which is cheap to see and leaves few."""
    left, right = edges[:, 0].copy(), edges[:, 2].copy()
    other_left, other_right = other_edges[:, 0].copy(), other_edges[:, 2].copy()
    for i, j in _pairs_of_frames(frame, other_frame):
        share = (left[i] < other_right[j]) & (other_left[j] < right[i])
        yield i[share], j[share]


def _pairs_of_frames(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all index pairs (i, j) with left[i] == right[j] in parts, by rising i, within an i by rising j."""
    order = np.argsort(right, kind="stable")
    start = np.searchsorted(right[order], left, side="left")
    count = np.searchsorted(right[order], left, side="right") - start
    ends = np.cumsum(count)
    first = 0
    while first < len(left):
        before = ends[first] - count[first]
        last = max(first + 1, int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, side="right")))
        size = count[first:last]
        i = np.repeat(np.arange(first, last), size)
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        yield i, order[start[i] + within]
        first = last


def _edges(box: np.ndarray) -> np.ndarray:
    """Left, top, width, height -> left, top, right, bottom."""
    return np.concatenate((box[:, :2], box[:, :2] + box[:, 2:]), axis=1)


def _overlaps(detection: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU and share of the detection of (n, 4) pairs, with the toolkit's operations in its order (IoU 0.7 is met)."""
    a, b = _edges(detection), _edges(truth)
    size = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = size[:, 0] * size[:, 1]
    area = detection[:, 2] * detection[:, 3]
    meet = (size > 0).all(axis=1)
    union = area + truth[:, 2] * truth[:, 3] - shared
    zero = np.zeros(len(shared))
    return (
        np.divide(shared, union, out=zero.copy(), where=meet),
        np.divide(shared, area, out=zero, where=meet),
    )
