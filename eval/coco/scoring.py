"""From saved detections to the record: 24 numbers, an interval over images, the class table and the pictures."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from eval.coco.figures import draw_curves, draw_overlay
from eval.coco.tables import write_class_table
from eval.detector.annotations import Annotations
from eval.detector.recipe import Recipe
from eval.metrics.coco import Evaluation, evaluate
from eval.metrics.resample import ap_resampler
from eval.run import Stopwatch, finish_record
from flsl.runtime.files import sha256_of_file
from results.bootstrap import percentile_interval
from results.record import Dataset, Metric, Record

OFFICIAL = (5000, 36781, 80)  # images, annotations, categories of COCO's val2017
TRAIN_IMAGES = 118287  # of its train2017


def score(
    truth: Annotations,
    detections: list[dict[str, Any]],
    *,
    recipe: Recipe,
    config: dict[str, Any],
    arguments: argparse.Namespace,
    images: Path,
    model: dict[str, Any],
    watch: Stopwatch,
    files: dict[str, str],
    warnings: list[str],
    trained_on: int | None = None,
) -> Record:
    """Compute the metrics of detections and write everything that shows them; returns the record.

    Args:
        truth: annotations of the images that were looked at.
        detections: COCO results; masks are scored where they have them.
        recipe: names the protocol.
        config: resolved recipe, for the record.
        arguments: the command's.
        images: folder of the images, for the overlay; it may be absent.
        model: fields of the record's model.
        watch: times the phases.
        files: what the run has written so far, for the record.
        warnings: likewise.
        trained_on: number of training images, if known.
    """
    # Where nothing was detected, the recipe says whether masks were looked for.
    with_masks = "segmentation" in detections[0] if detections else recipe.model.detector == "mask-rcnn"
    kinds = ("box", "mask") if with_masks else ("box",)
    out, metrics = arguments.out, {}
    with watch.phase("metrics"):
        evaluations = {kind: evaluate(truth, detections, kind, arguments.metric_backend) for kind in kinds}
    with watch.phase("interval"):
        for kind, evaluation in evaluations.items():
            for name, value in evaluation.scores.items():
                metrics[f"{kind}_{name}"] = Metric(value)
            metrics[f"{kind}_AP"] = _with_interval(truth, detections, evaluation, arguments.seed)
    with watch.phase("tables and pictures"):
        write_class_table(out / "classes.csv", truth, detections, list(evaluations.values()))
        draw_curves(out / "curves.png", list(evaluations.values()))
        files = files | {"classes": "classes.csv", "curves": "curves.png"}
        if draw_overlay(out / "overlay.png", truth, detections, images):
            files["overlay"] = "overlay.png"
    print_scores(evaluations)
    dataset = _dataset(truth, arguments.data)
    if dataset.official and trained_on not in (None, TRAIN_IMAGES):
        warnings = [*warnings, f"trained on {trained_on} images, not on the {TRAIN_IMAGES} of COCO's train2017"]
    return finish_record(
        out / "record.json",
        arguments=arguments,
        model=model,
        benchmark="coco",
        protocol=recipe.protocol,
        dataset=dataset,
        metrics=metrics,
        headline="box_AP",
        timing=watch.timing(len(truth.images)),
        config=config,
        per_item={
            name: {key: value for key, value in row.items() if value is not None}
            for name, row in zip(truth.category_names, evaluations["box"].per_class())
        },
        files=files,
        warnings=warnings,
    )


def print_scores(evaluations: dict[str, Evaluation]) -> None:
    """Print the 12 numbers of each kind, in percent, as two lines."""
    for kind, evaluation in evaluations.items():
        shown = (
            f"{name} {'-' if value is None else format(value, '.2f')}" for name, value in evaluation.scores.items()
        )
        print(f"{kind:4} {'  '.join(shown)}")


def _with_interval(truth: Annotations, detections: list[dict], evaluation: Evaluation, seed: int) -> Metric:
    value = evaluation.scores["AP"]
    if value is None:
        return Metric(None)
    count, statistic = ap_resampler(truth, detections, evaluation)
    return Metric(value, interval=percentile_interval(np.arange(count), statistic, unit="images", seed=seed))


def _dataset(truth: Annotations, data: Path) -> Dataset:
    """Describe the split: official only if it is COCO's own; synthetic data carry their name in a marker file."""
    found = (len(truth.images), truth.count(), len(truth.categories))
    marker = data / "dataset.json"
    official = found == OFFICIAL and not marker.is_file()
    name = json.loads(marker.read_text())["name"] if marker.is_file() else data.resolve().name
    return Dataset(
        name="coco2017" if official else name,
        split="val2017" if official else truth.path.stem.removeprefix("instances_"),
        official=official,
        items_expected=len(truth.images),
        items_evaluated=len(truth.images),
        item="images",
        annotation_sha256=sha256_of_file(truth.path),
    )
