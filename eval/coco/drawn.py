"""Detections drawn around the annotated objects: as many as a real run's, without a detector."""

from dataclasses import replace
from typing import Any

import numpy as np

from eval.detector.annotations import Annotations
from eval.metrics.mask_overlap import compressed


def drawn_detections(truth: Annotations, images: int, seed: int = 0) -> tuple[Annotations, list[dict[str, Any]]]:
    """Repeat the annotations to so many images, and draw two detections for each object: it, but shifted.

    Returns:
        Annotations with new ids, and COCO results for them with boxes and masks.
    """
    rng = np.random.default_rng(seed)
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
