"""Protocol `uavdt/coco@1`: COCO's AP over car, truck and bus, up to 500 detections an image, ignore regions as crowd."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from eval.metrics.coco import IOU_THRESHOLDS, Backend, run_evaluator, summarize
from eval.metrics.matching import find_candidates
from eval.metrics.resample import ApResampler
from eval.uavdt.coco_format import image_ids
from eval.uavdt.files import CATEGORIES, NO_CATEGORY, SequenceDetections, SequenceTruth

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
    """Return the six scores of `summarize` for each category by name."""
    names = [CATEGORIES[key] for key in sorted(CATEGORIES)]
    return {name: summarize(precision[:, :, k : k + 1]) for k, name in enumerate(names)}


def ap_resampler(
    truths: list[SequenceTruth], detections: list[SequenceDetections]
) -> tuple[int, Callable[[np.ndarray], float]]:
    """Prepare the bootstrap of AP over images: matches once, then weighs each frame by how often it is drawn.

    Returns:
        The number of frames F, and a function that maps drawn frames (ints in 0..F-1, with repeats) to AP in percent
        (NaN if no box was drawn). Drawing each frame once gives what `precisions` and `summarize` give.
    """
    offsets = np.cumsum([0, *(truth.length for truth in truths)])

    def joined(items: list, field: str) -> np.ndarray:
        return np.concatenate([getattr(item, field) for item in items])

    def numbered(items: list, field: str) -> np.ndarray:
        return np.concatenate([getattr(item, field) - 1 + at for item, at in zip(items, offsets)])

    # A region after its sequence's last frame has no effect.
    within = np.concatenate([truth.ignore_frame <= truth.length for truth in truths])
    regions = int(within.sum())
    # Each category is matched on its own, with all ignore regions: as if its frames were other frames.
    kinds, frames = np.array(list(CATEGORIES)), int(offsets[-1])
    truth_category = np.searchsorted(kinds, np.append(joined(truths, "category"), np.repeat(kinds, regions)))
    truth_frame = np.append(numbered(truths, "frame"), np.tile(numbered(truths, "ignore_frame")[within], len(kinds)))
    boxes = np.concatenate([joined(truths, "box"), np.tile(joined(truths, "ignore_box")[within], (len(kinds), 1))])
    counted = np.arange(len(boxes)) < len(boxes) - regions * len(kinds)
    category = np.searchsorted(kinds, joined(detections, "category"))
    frame, box, score = numbered(detections, "frame"), joined(detections, "box"), joined(detections, "score")
    kept = _best_of_each_frame(category * frames + frame, score)
    found = find_candidates(
        truth_category * frames + truth_frame,
        boxes,
        (category * frames + frame)[kept],
        box[kept],
        score[kept],
        IOU_THRESHOLDS[0],
    )
    category, frame = np.divmod(found.image, frames)
    found = dataclasses.replace(found, image=frame)
    return frames, ApResampler(frames, (truth_frame, truth_category), found, category, counted)


def _best_of_each_frame(frame: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Indices of the (at most 500) best detections of each frame, in their original order."""
    order = np.lexsort((-score, frame))
    rank = np.arange(len(order)) - np.searchsorted(frame[order], frame[order])
    return np.sort(order[rank < MAX_DETECTIONS])
