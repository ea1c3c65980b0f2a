"""Where the time of scoring a COCO run goes (`python -m eval coco bench`)."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from eval.detector.annotations import Annotations
from eval.metrics.coco import Backend, Kind, evaluate
from eval.metrics.mask_overlap import compressed
from eval.metrics.resample import ap_resampler
from results.bootstrap import percentile_interval

SCORED_IMAGES = 5000  # of val2017


def bench_scoring(truth: Annotations, kinds: tuple[Kind, ...]) -> None:
    """Print how long either backend takes on as many images as val2017 has, and the interval."""
    truth, detections = drawn_detections(truth, SCORED_IMAGES)
    totals: dict[Backend, float] = {"faster": 0.0, "pycocotools": 0.0}
    for backend in totals:  # their imports are not what is measured
        evaluate(truth, detections[:1], kinds[0], backend)
    print(f"scoring {len(truth.images)} images, {truth.count()} objects, {len(detections)} detections:")
    for kind in kinds:
        seconds: dict[Backend, float] = {}
        for backend in totals:
            start = time.perf_counter()
            evaluation = evaluate(truth, detections, kind, backend)
            seconds[backend] = time.perf_counter() - start
            totals[backend] += seconds[backend]
        start = time.perf_counter()
        count, statistic = ap_resampler(truth, detections, evaluation)
        percentile_interval(np.arange(count), statistic, unit="images")
        print(f"  {kind:4} {_compared(seconds)}; interval {time.perf_counter() - start:.2f} s")
    print(f"  all  {_compared(totals)}")


def _compared(seconds: Mapping[Backend, float]) -> str:
    fast, plain = seconds["faster"], seconds["pycocotools"]
    return f"faster {fast:.2f} s, pycocotools {plain:.2f} s ({plain / fast:.1f} times)"


def drawn_detections(truth: Annotations, images: int) -> tuple[Annotations, list[dict[str, Any]]]:
    """Repeat the annotations to so many images, and draw two detections for each object: it, but shifted.

    Returns:
        Annotations with new ids, and COCO results for them with boxes and masks.
    """
    rng = np.random.default_rng(0)
    repeated: dict[int, list[dict[str, Any]]] = {}
    entries: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number in range(images):
        image = truth.images[number % len(truth.images)]
        entries.append(image | {"id": number})
        repeated[number] = []
        for annotation in truth.of_image.get(image["id"], ()):
            repeated[number].append(annotation | {"id": len(results) + 1, "image_id": number})
            x, y, width, height = annotation["bbox"]
            for dx, dy in rng.normal(0, 0.1, (2, 2)) * (width, height):
                results.append(
                    {
                        "image_id": number,
                        "category_id": annotation["category_id"],
                        "bbox": [round(x + dx, 2), round(y + dy, 2), width, height],
                        "score": float(rng.random()),
                        "segmentation": compressed(_shifted(annotation, dx, dy), image["height"], image["width"]),
                    }
                )
    return replace(truth, images=entries, of_image=repeated), results


def _shifted(annotation: dict[str, Any], dx: float, dy: float) -> list | dict[str, Any]:
    """Return an object's segmentation (its box where it has none), shifted if it is a polygon."""
    x, y, width, height = annotation["bbox"]
    box = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    shape = annotation.get("segmentation") or box
    return shape if isinstance(shape, dict) else [np.add(np.reshape(part, (-1, 2)), (dx, dy)).ravel() for part in shape]
