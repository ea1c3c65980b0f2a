"""The bootstrap of AP over images: matches are made once, a resample only counts them again."""

from collections.abc import Callable

import numpy as np

from eval.coco.metrics import IOU_THRESHOLDS, Evaluation
from eval.detector.annotations import Annotations

RECALLS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100


def ap_resampler(
    truth: Annotations, detections: list[dict], evaluation: Evaluation
) -> tuple[int, Callable[[np.ndarray], float]]:
    """Prepare the bootstrap of an evaluation's AP.

    Args:
        truth: what `evaluate` was given.
        detections: likewise.
        evaluation: its result, for the overlaps.

    Returns:
        The number of images n, and a function that maps drawn images (ints in 0..n-1, with repeats) to AP in percent
        (NaN if no object was drawn). Drawing each image once gives the evaluation's AP.
    """
    place = {image["id"]: index for index, image in enumerate(truth.images)}
    scores: dict[tuple[int, int], list[float]] = {}
    for detection in detections:
        scores.setdefault((detection["image_id"], detection["category_id"]), []).append(detection["score"])
    crowds: dict[tuple[int, int], list[bool]] = {}
    for image, annotations in truth.of_image.items():
        for annotation in annotations:
            key = (image, annotation["category_id"])
            crowds.setdefault(key, []).append(bool(annotation.get("iscrowd", 0)))

    classes = []
    for category in truth.category_ids:
        objects = np.zeros(len(place), int)  # of each image, crowds left out
        images, values, states = [], [], []
        for image, index in place.items():
            crowd = np.array(crowds.get((image, category), ()), bool)
            objects[index] = np.count_nonzero(~crowd)
            score = np.sort(scores.get((image, category), ()))[::-1][:MAX_DETECTIONS]
            if not len(score):
                continue
            ious = np.asarray(evaluation.ious[image, category]).reshape(len(score), len(crowd))
            images.append(np.full(len(score), index))
            values.append(score)
            states.append(match(ious, crowd))
        if objects.any():
            order = np.argsort(-np.concatenate(values), kind="stable") if values else np.zeros(0, int)
            image_of = np.concatenate(images)[order] if values else order
            state = np.concatenate(states, axis=1)[:, order] if values else np.zeros((len(IOU_THRESHOLDS), 0), int)
            classes.append((objects, image_of, state == 1, state != -1))

    def average_precision(drawn: np.ndarray) -> float:
        times = np.bincount(drawn, minlength=len(place))
        values = []
        for objects, image_of, right, counted in classes:
            total = int(times @ objects)
            if total:
                weight = times[image_of]
                values.append(_average_precision(weight * right, weight * counted, total))
        return 100.0 * float(np.mean(values)) if values else np.nan

    return len(place), average_precision


def match(ious: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Match one image's detections of one category, greedily by score, as COCO does.

    Args:
        ious: (detections by falling score, objects) overlaps.
        crowd: (objects,) which objects are crowd regions: they take any number of detections, which then count as
            neither right nor wrong.

    Returns:
        (10 thresholds, detections): 1 right, 0 wrong, -1 not counted.
    """
    state = np.zeros((len(IOU_THRESHOLDS), len(ious)), int)
    if not len(crowd):
        return state
    proper = np.flatnonzero(~crowd)
    crowded = ious[:, crowd].max(axis=1) if crowd.any() else np.zeros(len(ious))
    free = np.ones((len(IOU_THRESHOLDS), len(proper)), bool)
    rows = np.arange(len(IOU_THRESHOLDS))
    for number, overlaps in enumerate(ious[:, proper]):
        if len(proper):
            open_overlaps = np.where(free, overlaps, -1.0)
            # The last of equal overlaps, as in COCO's loop.
            best = len(proper) - 1 - np.argmax(open_overlaps[:, ::-1], axis=1)
            hit = open_overlaps[rows, best] >= IOU_THRESHOLDS
            free[rows[hit], best[hit]] = False
            state[hit, number] = 1
        state[(state[:, number] == 0) & (crowded[number] >= IOU_THRESHOLDS), number] = -1
    return state


def _average_precision(right: np.ndarray, counted: np.ndarray, total: int) -> float:
    """Return COCO's mean precision at 101 recalls, averaged over thresholds; inputs (thresholds, detections)."""
    right, counted = np.cumsum(right, axis=1), np.cumsum(counted, axis=1)
    precision = right / np.maximum(counted, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    envelope = np.concatenate([envelope, np.zeros((len(envelope), 1))], axis=1)
    return float(
        np.mean([envelope[k, np.searchsorted(right[k] / total, RECALLS, side="left")] for k in range(len(right))])
    )
