"""COCO's 12 box and 12 mask numbers from saved detections, by faster-coco-eval or by pycocotools, which give the same."""

import contextlib
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from eval.detector.annotations import Annotations
from flsl.errors import UserError

Backend = Literal["faster", "pycocotools"]
Kind = Literal["box", "mask"]
# Order of the evaluators' `stats`.
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
AREAS = ("all", "small", "medium", "large")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class Evaluation:
    """One kind's scores; None where the annotations hold nothing to measure a number on."""

    kind: Kind
    scores: dict[str, float | None]  # NAMES -> percent
    precision: np.ndarray  # (10 IoU thresholds, 101 recalls, categories, 4 areas), -1 where undefined
    ious: dict[tuple[int, int], np.ndarray]  # (image id, category id) -> (detections by falling score, ground truths)

    def per_class(self) -> list[dict[str, float | None]]:
        """Return AP, AP50, AP75 and AP by size, in percent, of each category."""
        return [summarise(self.precision[:, :, k : k + 1]) for k in range(self.precision.shape[2])]


def summarise(precision: np.ndarray) -> dict[str, float | None]:
    """Return AP, AP50, AP75, APs, APm and APl in percent from `Evaluation.precision`; None where it is undefined."""
    values = {"AP": precision[..., 0], "AP50": precision[0, :, :, 0], "AP75": precision[5, :, :, 0]}
    values |= {f"AP{area[0]}": precision[..., k] for k, area in enumerate(AREAS) if k}
    return {name: _percent(value) for name, value in values.items()}


def evaluate(
    truth: Annotations, detections: list[dict[str, Any]], kind: Kind, backend: Backend = "faster"
) -> Evaluation:
    """Score detections with COCO's rules (100 detections an image, ten IoU thresholds, crowds ignored).

    Args:
        truth: the annotations of all images that were looked at.
        detections: COCO results; see `check_detections`.
        kind: overlap of boxes or of masks.
        backend: faster-coco-eval, or pycocotools, the reference.
    """
    evaluator = run_evaluator(truth.document(), detections, kind, backend)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.summarize()
    return Evaluation(
        kind=kind,
        scores={name: None if value < 0 else 100.0 * float(value) for name, value in zip(NAMES, evaluator.stats)},
        precision=np.asarray(evaluator.eval["precision"])[..., -1],
        ious=evaluator.ious,
    )


def run_evaluator(
    document: dict[str, Any],
    detections: list[dict[str, Any]],
    kind: Kind,
    backend: Backend = "faster",
    max_detections: int = 100,
) -> Any:
    """Return an evaluator after `evaluate` and `accumulate`; its `eval["precision"][..., -1]` is at `max_detections`.

    Args:
        document: COCO instances document.
        detections: COCO results on its images, possibly none.
        kind: see `evaluate`.
        backend: see `evaluate`.
        max_detections: the best so many of an image and category count.
    """
    if backend == "faster":
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as Evaluator
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval as Evaluator

    with contextlib.redirect_stdout(io.StringIO()):  # both report each of their steps
        ground, found = COCO(), COCO()
        ground.dataset = document
        ground.createIndex()
        if detections:
            # loadRes adds fields to what it is given.
            found = ground.loadRes([dict(detection) for detection in detections])
        else:
            found.dataset = ground.dataset | {"annotations": []}
            found.createIndex()
        evaluator = Evaluator(ground, found, "bbox" if kind == "box" else "segm")
        evaluator.params.maxDets = [1, 10, max_detections]
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def check_detections(truth: Annotations, detections: Any, where: str, masks: bool) -> None:
    """Check COCO results against the annotations that they are to be scored with.

    Raises:
        UserError: not a list of results, a key is missing, or an image or category is unknown.
    """
    if not isinstance(detections, list):
        raise UserError(f"{where} must hold a list of COCO results, [{{image_id, category_id, bbox, score}}, ...]")
    images, categories = {image["id"] for image in truth.images}, set(truth.category_ids)
    needed = ("image_id", "category_id", "bbox", "score", *(["segmentation"] if masks else []))
    for index, detection in enumerate(detections):
        missing = [key for key in needed if key not in detection]
        if missing:
            raise UserError(f"{where}: result {index} lacks the key {missing[0]!r}")
        if detection["image_id"] not in images:
            raise UserError(f"{where}: result {index} is for image {detection['image_id']}, not in {truth.path}")
        if detection["category_id"] not in categories:
            raise UserError(f"{where}: result {index} has category {detection['category_id']}, not in {truth.path}")


def _percent(values: np.ndarray) -> float | None:
    values = values[values > -1]
    return 100.0 * float(values.mean()) if values.size else None
