"""COCO's 12 box and 12 mask numbers from saved detections, by faster-coco-eval or by pycocotools, which give the same."""

import contextlib
import gc
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from eval.detector.annotations import Annotations

Backend = Literal["faster", "pycocotools"]
Kind = Literal["box", "mask"]
AREAS = ("all", "small", "medium", "large")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100  # of an image and category
RESULT = ("image_id", "category_id", "bbox", "score", "segmentation")  # what a result is scored by


@dataclass(frozen=True)
class Evaluation:
    """One kind's scores; None where the annotations hold nothing to measure a number on."""

    kind: Kind
    scores: dict[str, float | None]  # AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl in percent
    precision: np.ndarray  # (10 IoU thresholds, 101 recalls, categories, 4 areas), -1 where undefined
    ious: dict[tuple[int, int], np.ndarray]  # (image id, category id) -> (detections by falling score, ground truths)
    max_detections: int = MAX_DETECTIONS  # of an image and category

    def per_class(self) -> list[dict[str, float | None]]:
        """Return AP, AP50, AP75 and AP by size, in percent, of each category."""
        return [summarize(self.precision[:, :, k : k + 1]) for k in range(self.precision.shape[2])]


def summarize(precision: np.ndarray) -> dict[str, float | None]:
    """Return AP, AP50, AP75, APs, APm and APl in percent from `Evaluation.precision`; None where it is undefined."""
    values = {"AP": precision[..., 0], "AP50": precision[0, :, :, 0], "AP75": precision[5, :, :, 0]}
    values |= {f"AP{area[0]}": precision[..., k] for k, area in enumerate(AREAS) if k}
    return {name: _percent(value) for name, value in values.items()}


def _summarize_recall(recall: np.ndarray) -> dict[str, float | None]:
    """Return the other six numbers from recall by (IoU threshold, category, area, number of detections)."""
    values = {f"AR{count}": recall[:, :, 0, k] for k, count in enumerate((1, 10, 100))}
    values |= {f"AR{area[0]}": recall[:, :, k, -1] for k, area in enumerate(AREAS) if k}
    return {name: _percent(value) for name, value in values.items()}


def evaluate(
    truth: Annotations,
    detections: list[dict[str, Any]],
    kind: Kind,
    backend: Backend = "faster",
    max_detections: int = MAX_DETECTIONS,
) -> Evaluation:
    """Score detections with COCO's rules (ten IoU thresholds, crowds ignored).

    Args:
        truth: the annotations of all images that were looked at.
        detections: COCO results, possibly none; see `eval.coco.detections`.
        kind: overlap of boxes or of masks.
        backend: faster-coco-eval, or pycocotools, the reference.
        max_detections: the best so many of an image and category count; with another number than COCO's own,
            `AR100` is the recall at it.
    """
    if backend == "faster":
        from faster_coco_eval import COCO, COCOeval_faster

        from eval.metrics.mask_overlap import MaskEvaluator
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()), _no_cycle_search():  # both report each of their steps
        ground, found = COCO(), COCO()
        ground.dataset = truth.document()
        ground.createIndex()
        # loadRes adds keys to what it is given, and takes a result with a key such as `caption` for another task's.
        results = [{key: entry[key] for key in RESULT if key in entry} for entry in detections]
        if kind == "mask" and backend == "pycocotools":
            for result in results:
                result.pop("bbox")  # else a mask's size would be taken from its box
        if results:
            found = ground.loadRes(results)
        else:
            found.dataset = ground.dataset | {"annotations": []}
            found.createIndex()
        if backend == "pycocotools":
            evaluator = COCOeval(ground, found, "bbox" if kind == "box" else "segm")
        else:
            evaluator = COCOeval_faster(ground, found, "bbox") if kind == "box" else MaskEvaluator(ground, found)
        evaluator.params.maxDets = [1, 10, max_detections]
        evaluator.evaluate()
        evaluator.accumulate()
    precision, recall = (np.asarray(evaluator.eval[name]) for name in ("precision", "recall"))
    scores = summarize(precision[..., -1]) | _summarize_recall(recall)
    return Evaluation(kind, scores, precision[..., -1], evaluator.ious, max_detections)


@contextlib.contextmanager
def _no_cycle_search() -> Iterator[None]:
    """Keep Python from looking for unreachable cycles among a million small objects again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _percent(values: np.ndarray) -> float | None:
    values = values[values > -1]
    return 100.0 * float(values.mean()) if values.size else None
