"""Matching detections to objects greedily by score, as COCO and UAVDT do, vectorized over all images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Pairs of boxes looked at together: small enough to stay in the processor's cache (2**20 takes half as long again).
_PAIRS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Candidates:
    """Pairs of a detection and an object of the same image (and category, where those matter) that overlap enough.

    Detections are numbered by image, then by falling score, ties in file order.
    """

    image: np.ndarray  # (detections,) int; the frame of a video
    score: np.ndarray  # (detections,) float64
    detection: np.ndarray  # (pairs,) int, number of the detection
    truth: np.ndarray  # (pairs,) int, number of the object
    iou: np.ndarray  # (pairs,) intersection over union
    cover: np.ndarray  # (pairs,) intersection over the detection's area


def assign(candidates: Candidates, counted: np.ndarray, threshold: float) -> np.ndarray:
    """Match greedily by score: each detection takes the free object with the highest IoU, each object is taken once.

    Args:
        candidates: the pairs.
        counted: (objects,) bool; objects that are not counted (crowds, ignore regions) are ignored: a detection without
            a match that lies in one (share of the detection's area >= the threshold) is neither right nor wrong, and they
            are never used up.
        threshold: smallest IoU of a match.

    Returns:
        (detections,) int8 1 right, 0 wrong, -1 ignored.
    """
    state = np.zeros(len(candidates.image), np.int8)
    lies_in_ignored = ~counted[candidates.truth] & (candidates.cover >= threshold)
    state[candidates.detection[lies_in_ignored]] = -1

    possible = counted[candidates.truth] & (candidates.iou >= threshold)
    detection, truth, iou = candidates.detection[possible], candidates.truth[possible], candidates.iou[possible]
    # Within a detection the best object comes last; of equal ones COCO and UAVDT keep the later.
    order = np.lexsort((truth, iou, detection))
    detection, truth = detection[order], truth[order]
    earliest = np.empty(len(counted), int)
    taken = np.zeros(len(counted), bool)
    while len(detection):
        # A detection may take its best free object at once if no earlier detection could still want that one. The first
        # open detection of each image always may, so this ends; a few rounds do.
        best = np.append(detection[1:] != detection[:-1], True)
        earliest[truth[::-1]] = detection[::-1]
        settled = best & (earliest[truth] == detection)
        state[detection[settled]] = 1
        taken[truth[settled]] = True
        open_pairs = ~taken[truth] & (state[detection] != 1)
        detection, truth = detection[open_pairs], truth[open_pairs]
    return state


def find_candidates(
    truth_image: np.ndarray,
    truth_box: np.ndarray,
    image: np.ndarray,
    box: np.ndarray,
    score: np.ndarray,
    threshold: float,
) -> Candidates:
    """List the pairs of the same image whose IoU, or whose share of the detection, reaches the threshold.

    Args:
        truth_image: (boxes,) int; truth_box: (boxes, 4) left, top, width, height.
        image: (detections,) int; box: (detections, 4); score: (detections,), in any order.
        threshold: the lowest one that `assign` will be asked for.
    """
    order = np.lexsort((-score, image))  # stable, as the toolkit's sort is
    image, box = image[order], box[order]
    found: list[tuple[np.ndarray, ...]] = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0))]
    for d, g in touching_pairs(image, edges(box), truth_image, edges(truth_box)):
        iou, cover = _overlaps(box[d], truth_box[g])
        near = (iou >= threshold) | (cover >= threshold)
        found.append((d[near], g[near], iou[near], cover[near]))
    return Candidates(image, score[order], *(np.concatenate(column) for column in zip(*found)))


def touching_pairs(
    image: np.ndarray, corners: np.ndarray, other_image: np.ndarray, other_corners: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, in parts, the pairs (i, j) of boxes in the same image that share some width: cheap to see, and few are left.

    Pairs come by rising i, within an i by rising j. `corners` are (n, 4), of `edges`.
    """
    left, right = corners[:, 0].copy(), corners[:, 2].copy()
    other_left, other_right = other_corners[:, 0].copy(), other_corners[:, 2].copy()
    for i, j in _pairs_of_images(image, other_image):
        share = (left[i] < other_right[j]) & (other_left[j] < right[i])
        yield i[share], j[share]


def _pairs_of_images(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
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


def edges(box: np.ndarray) -> np.ndarray:
    """Turn boxes (n, 4) left, top, width, height into left, top, right, bottom."""
    return np.concatenate((box[:, :2], box[:, :2] + box[:, 2:]), axis=1)


def _overlaps(detection: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU and share of the detection of (n, 4) pairs, with the toolkit's operations in its order (IoU 0.7 is met)."""
    a, b = edges(detection), edges(truth)
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
