"""Matching detections to objects greedily by score, as COCO and UAVDT do, vectorized over all images."""

from dataclasses import dataclass

import numpy as np


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
