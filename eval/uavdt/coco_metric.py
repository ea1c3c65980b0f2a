"""Protocol `uavdt/coco@1`: COCO's AP over car, truck and bus, up to 500 detections an image, ignore regions as crowd."""

from collections.abc import Callable
from typing import Any

import numpy as np

from eval.coco.metrics import IOU_THRESHOLDS, Backend, run_evaluator, summarise
from eval.coco.resample import RECALLS
from eval.uavdt.coco_format import image_ids
from eval.uavdt.detections import NO_CATEGORY, SequenceDetections
from eval.uavdt.ground_truth import CATEGORIES, SequenceTruth
from eval.uavdt.matching import assign, find_candidates

MAX_DETECTIONS = 500


def has_categories(detections: list[SequenceDetections]) -> bool:
    """Whether every detection names its category; without, only the official protocol can be computed."""
    return all((d.category != NO_CATEGORY).all() for d in detections)


def precisions(
    document: dict[str, Any], detections: list[SequenceDetections], backend: Backend = "faster"
) -> np.ndarray:
    """Return precision by (IoU threshold, recall, category, area): (10, 101, 3, 4), -1 where there is no box.

    Args:
        document: COCO document with ignore regions as crowd boxes (`coco_document`).
        detections: with categories.
        backend: faster-coco-eval, or pycocotools, the reference; they give the same.
    """
    results = coco_results(document, detections)
    evaluator = run_evaluator(document, results, "box", backend, MAX_DETECTIONS)
    return np.asarray(evaluator.eval["precision"])[..., -1]


def coco_results(document: dict[str, Any], detections: list[SequenceDetections]) -> list[dict[str, Any]]:
    """Return detections as COCO results, in their order."""
    ids = image_ids(document)
    results = []
    for d in detections:
        columns = (d.frame.tolist(), d.box.tolist(), d.score.tolist(), d.category.tolist())
        for frame, box, score, category in zip(*columns):
            result = {"image_id": ids[d.name, frame], "category_id": category, "bbox": box, "score": score}
            results.append(result)
    return results


def per_class(precision: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Return the six scores of `summarise` for each category by name."""
    names = [CATEGORIES[key] for key in sorted(CATEGORIES)]
    return {name: summarise(precision[:, :, k : k + 1]) for k, name in enumerate(names)}


def ap_resampler(
    truths: list[SequenceTruth], detections: list[SequenceDetections]
) -> tuple[int, Callable[[np.ndarray], float]]:
    """Prepare the bootstrap of AP over images: matches once, then weighs each frame by how often it is drawn.

    Returns:
        The number of frames F, and a function that maps drawn frames (ints in 0..F-1, with repeats) to AP in percent
        (NaN if no box was drawn). Drawing each frame once gives what `precisions` and `summarise` give.
    """
    offsets = np.cumsum([0, *(truth.length for truth in truths)])
    frames = int(offsets[-1])

    def joined(items: list, field: str) -> np.ndarray:
        return np.concatenate([getattr(item, field) for item in items])

    def numbered(items: list, field: str) -> np.ndarray:
        return np.concatenate([getattr(item, field) - 1 + at for item, at in zip(items, offsets)])

    truth_frame, truth_box, truth_class = numbered(truths, "frame"), joined(truths, "box"), joined(truths, "category")
    # A region after its sequence's last frame has no effect.
    within = np.concatenate([truth.ignore_frame <= truth.length for truth in truths])
    region_frame, region_box = numbered(truths, "ignore_frame")[within], joined(truths, "ignore_box")[within]
    frame, box, score = numbered(detections, "frame"), joined(detections, "box"), joined(detections, "score")
    category = joined(detections, "category")

    curves = []
    for key in CATEGORIES:
        mine = truth_class == key
        if not mine.any():
            continue
        box_frame = np.concatenate([truth_frame[mine], region_frame])
        boxes = np.concatenate([truth_box[mine], region_box])
        counted = np.arange(len(box_frame)) < mine.sum()
        kept = _best_of_each_frame(frame, score, category == key)
        candidates = find_candidates(box_frame, boxes, frame[kept], box[kept], score[kept], IOU_THRESHOLDS[0])
        order = np.argsort(-candidates.score, kind="stable")
        boxes_by_frame = np.bincount(truth_frame[mine], minlength=frames)
        for threshold in IOU_THRESHOLDS:
            state = assign(candidates, counted, threshold)[order]
            ranked = state != -1
            curves.append((boxes_by_frame, candidates.frame[order][ranked], np.flatnonzero(state[ranked] == 1)))

    def average_precision(drawn: np.ndarray) -> float:
        times = np.bincount(drawn, minlength=frames)
        values = [
            _interpolated(times[detection_frame], right_at, total)
            for boxes_by_frame, detection_frame, right_at in curves
            if (total := int(times @ boxes_by_frame))
        ]
        return 100.0 * float(np.mean(values)) if values else np.nan

    return frames, average_precision


def _best_of_each_frame(frame: np.ndarray, score: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """Indices of the (at most 500) best detections of each frame among `mine`, in their original order."""
    rows = np.flatnonzero(mine)
    order = rows[np.lexsort((-score[rows], frame[rows]))]
    rank = np.arange(len(order)) - np.searchsorted(frame[order], frame[order])
    return np.sort(order[rank < MAX_DETECTIONS])


def _interpolated(weight: np.ndarray, right_at: np.ndarray, boxes: int) -> float:
    """COCO's mean precision at 101 recalls. `weight` says how often each detection (by falling score) was drawn;
    precision peaks at the right ones, so only they are looked at."""
    right = np.cumsum(weight[right_at])
    precision = right / np.maximum(np.cumsum(weight)[right_at], 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.append(envelope, 0.0)[np.searchsorted(right / boxes, RECALLS)].mean())
