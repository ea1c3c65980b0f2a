"""The scores of each category as a CSV table."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from eval.detector.annotations import Annotations
from eval.metrics.coco import Evaluation
from flsl.runtime.files import write_atomic


def write_class_table(
    path: Path, truth: Annotations, detections: list[dict[str, Any]], evaluations: list[Evaluation]
) -> Path:
    """Write one row a category: id, name, objects (crowds left out), detections, then scores in percent.

    A score is empty where there is no object to measure it on.
    """
    objects = Counter(
        annotation["category_id"]
        for annotations in truth.of_image.values()
        for annotation in annotations
        if not annotation.get("iscrowd", 0)
    )
    found = Counter(detection["category_id"] for detection in detections)
    rows = [
        {
            "id": category["id"],
            "name": category["name"],
            "objects": objects[category["id"]],
            "detections": found[category["id"]],
        }
        for category in truth.categories
    ]
    for evaluation in evaluations:
        for row, scores in zip(rows, evaluation.per_class()):
            row |= {f"{evaluation.kind}_{name}": "" if value is None else value for name, value in scores.items()}

    def write(temporary: Path) -> None:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)

    return write_atomic(path, write)
