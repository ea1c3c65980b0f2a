"""From saved detections to the record: 24 numbers, an interval over images, the class table and the pictures."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.coco.figures import draw_curves, draw_overlay
from eval.detector.annotations import Annotations
from eval.metrics.coco import Backend, Evaluation, Kind, evaluate
from eval.metrics.resample import ap_resampler
from eval.progress import counted
from eval.run import Run
from eval.table import write_table
from flsl.runtime.files import sha256_of_file
from flsl.runtime.marker import read_marker
from results.bootstrap import RESAMPLES, percentile_interval
from results.record import Dataset, Record

OFFICIAL = (5000, 36781, 80)  # images, annotations, categories of COCO's val2017
OUTPUTS = ("classes.csv", "curves.png", "overlay.png")
TRAIN_IMAGES = 118287  # of its train2017


def write_scores(
    run: Run,
    truth: Annotations,
    detections: list[dict[str, Any]],
    images: Path,
    with_masks: bool,
    backend: Backend,
    about: Mapping[str, Any],
) -> Record:
    """Compute the metrics of detections and write everything that shows them; returns the record.

    Args:
        run: the evaluation.
        truth: annotations of the images that were looked at.
        detections: COCO results.
        images: folder of the images, for the overlay; it may be absent.
        with_masks: whether masks are scored besides boxes.
        backend: `faster` or `pycocotools`.
        about: what else `Run.finish` is told.
    """
    kinds: tuple[Kind, ...] = ("box", "mask") if with_masks else ("box",)
    values: dict[str, float | None] = {}
    out, intervals, per_item = run.out, {}, {}
    with run.watch.phase("metrics"):
        evaluations = {kind: evaluate(truth, detections, kind, backend) for kind in kinds}
    with run.watch.phase("interval"):
        for kind, evaluation in evaluations.items():
            values |= {f"{kind}_{name}": value for name, value in evaluation.scores.items()}
            if evaluation.scores["AP"] is not None:
                count, resampler = ap_resampler(truth, detections, evaluation)
                statistic = counted(resampler, f"interval of {kind} AP: resample", RESAMPLES + 1)
                intervals[f"{kind}_AP"] = percentile_interval(np.arange(count), statistic, unit="images", seed=run.seed)
                if kind == "box":
                    alone = zip(truth.images, resampler.per_image().round(4).tolist())
                    per_item = {str(image["id"]): {"AP": value} for image, value in alone if not math.isnan(value)}
    with run.watch.phase("tables and pictures"):
        write_table(out / "classes.csv", class_rows(truth, detections, evaluations.values()))
        files = about["files"] | {"classes": "classes.csv"}
        if draw_curves(out / "curves.png", list(evaluations.values())):
            files["curves"] = "curves.png"
        if draw_overlay(out / "overlay.png", truth, detections, images):
            files["overlay"] = "overlay.png"
    for kind, evaluation in evaluations.items():
        shown = (
            f"{name} {'-' if value is None else format(value, '.2f')}" for name, value in evaluation.scores.items()
        )
        print(f"{kind:4} {'  '.join(shown)}")
    about = {**about, "files": files, "tools": {"metric_backend": backend}}
    return run.finish(values=values, intervals=intervals, items=len(truth.images), per_item=per_item, **about)


def class_rows(
    truth: Annotations, detections: list[dict[str, Any]], evaluations: Iterable[Evaluation]
) -> list[dict[str, Any]]:
    """Return a row for each category: id, name, objects (crowds left out), detections, then scores in percent.

    A score is None where there is no object to measure it on.
    """
    annotations = (annotation for listed in truth.of_image.values() for annotation in listed)
    objects = Counter(annotation["category_id"] for annotation in annotations if not annotation.get("iscrowd", 0))
    found = Counter(detection["category_id"] for detection in detections)
    rows = [
        {"id": number, "name": name, "objects": objects[number], "detections": found[number]}
        for number, name in zip(truth.category_ids, truth.category_names)
    ]
    for evaluation in evaluations:
        for row, scores in zip(rows, evaluation.per_class()):
            row |= {f"{evaluation.kind}_{name}": value for name, value in scores.items()}
    return rows


def describe(truth: Annotations, data: Path) -> Dataset:
    """Describe the split: official only if it is COCO's own; synthetic data carry their name in a marker file."""
    found = (len(truth.images), truth.count(), len(truth.categories))
    marker = read_marker(data)
    official = found == OFFICIAL and marker is None
    name = data.resolve().name if marker is None else marker["name"]
    return Dataset(
        name="coco2017" if official else name,
        split="val2017" if official else truth.path.stem.removeprefix("instances_"),
        official=official,
        items_expected=len(truth.images),
        items_evaluated=len(truth.images),
        item="images",
        annotation_sha256=sha256_of_file(truth.path),
    )
