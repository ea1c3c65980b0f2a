"""From saved detections to both protocols: read them, score them, write the tables, curves and records."""

import argparse
import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np

from eval.metrics.coco import summarize
from eval.run import Stopwatch, finish_record
from eval.uavdt import coco_metric, official
from eval.uavdt.coco_format import coco_document
from eval.uavdt.figures import busiest_frame, draw_official, draw_overlay
from eval.uavdt.files import SequenceDetections, SequenceTruth, missing_ignore_files, read_detections
from eval.uavdt.layout import Layout
from eval.uavdt.tables import official_tables, write_tables
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic
from results.bootstrap import percentile_interval
from results.record import Dataset, Metric

OFFICIAL = "uavdt/official@1"
COCO = "uavdt/coco@1"


@dataclasses.dataclass(frozen=True)
class Results:
    """The test split and someone's detections on it, sequence by sequence."""

    layout: Layout
    truths: list[SequenceTruth]
    detections: list[SequenceDetections]
    warnings: list[str]

    @property
    def dataset(self) -> Dataset:
        """The record's data set section."""
        frames = sum(truth.length for truth in self.truths)
        return Dataset(
            name=self.layout.name(self.truths),
            split="test",
            official=self.layout.is_official(self.truths),
            items_expected=frames,
            items_evaluated=frames,
            annotation_sha256=self.layout.annotation_sha256([truth.name for truth in self.truths]),
        )


def read_results(layout: Layout, predictions: Path) -> Results:
    """Read the ground truth of the test split and the detections in `predictions`, one file a sequence.

    Raises:
        UserError: no such folder, a file is missing or malformed, or there is no box at all to find.
    """
    if not predictions.is_dir():
        raise UserError(f"{predictions} is not a folder; expected one <sequence>.txt of detections a test sequence.")
    names = layout.sequences("test")
    truths = [layout.read_truth(name) for name in names]
    detections = [read_detections(predictions, name, layout.length(name)) for name in names]
    if not sum(len(truth.frame) for truth in truths):
        raise UserError(
            f"the ground truth in {layout.truth} holds no box in {', '.join(names)}: there is nothing to score."
        )
    # Where nothing tells how long a sequence is, it is as long as its boxes and detections say.
    truths = [
        dataclasses.replace(truth, length=max(truth.length, int(found.frame.max(initial=1))))
        for truth, found in zip(truths, detections)
    ]
    warnings = []
    if without := missing_ignore_files(layout.truth, names):
        warnings.append(f"no ignore file for {', '.join(without)}: these sequences are scored without ignore regions")
    return Results(layout, truths, detections, warnings)


def score(
    results: Results,
    *,
    out: Path,
    arguments: argparse.Namespace,
    model: dict[str, Any],
    watch: Stopwatch,
    config: dict[str, Any] | None = None,
    files: dict[str, str] | None = None,
    warnings: list[str] | None = None,
) -> None:
    """Score by both protocols; write tables, curve, overlay, `record_coco.json` and, last, `record.json` to `out`.

    Without categories in the detections only the official protocol can be computed; the record then says so.
    `arguments` are the command's (`seed` and `metric_backend` are used), `model` is `LoadedEncoder.model_fields(...)`.
    """
    warnings = [*results.warnings, *(warnings or [])]
    shared: dict[str, Any] = {
        "arguments": arguments,
        "model": model,
        "benchmark": "uavdt",
        "dataset": results.dataset,
        "headline": "AP",
        "config": config,
        "warnings": warnings,
    }
    files = dict(files or {})
    if results.layout.has_frames:
        files["overlay"] = _overlay(results, out / "overlay.png").name
    if coco_metric.has_categories(results.detections):
        _score_coco(results, out, watch, files, shared)
    else:
        (out / "record_coco.json").unlink(missing_ok=True)
        warnings.append(f"the detections name no category (column 9 is -1 or absent), so {COCO} was not computed")
        print(f"note: {warnings[-1]}")
    _score_official(results, out, watch, files, shared)


def _score_official(
    results: Results, out: Path, watch: Stopwatch, files: dict[str, str], shared: dict[str, Any]
) -> None:
    with watch.phase("official metric"):
        scores = [official.score_sequence(*pair) for pair in zip(results.truths, results.detections)]
        curve = official.pool(scores)
        rows = official_tables(scores)
    with watch.phase("official interval"):
        resampler = official.FrameResampler(scores)
        frames = np.arange(resampler.frames)
        interval = percentile_interval(
            frames, resampler.average_precision, unit="images", seed=shared["arguments"].seed
        )
    write_tables(rows, out / "official_tables.csv")
    draw_official(out / "official.png", curve, rows)
    write_atomic(
        out / "precision_recall.npz",
        lambda path: np.savez_compressed(path, recall=curve.recall, precision=curve.precision),
    )
    finish_record(
        out / "record.json",
        protocol=OFFICIAL,
        metrics={"AP": Metric(curve.average_precision, interval=interval)},
        per_item={row["group"]: {"AP": row["AP"]} for row in rows if row["table"] == "sequence" and row["boxes"]},
        files=files
        | {"tables": "official_tables.csv", "precision_recall": "precision_recall.npz", "curves": "official.png"},
        timing=watch.timing(len(frames)),
        **shared,
    )


def _score_coco(results: Results, out: Path, watch: Stopwatch, files: dict[str, str], shared: dict[str, Any]) -> None:
    arguments = shared["arguments"]
    with watch.phase("coco metric"):
        document = coco_document(results.layout, results.truths)
        precision = coco_metric.precisions(document, results.detections, arguments.metric_backend)
        summary, classes = summarize(precision), coco_metric.per_class(precision)
    with watch.phase("coco interval"):
        frames, average_precision = coco_metric.ap_resampler(results.truths, results.detections)
        interval = percentile_interval(np.arange(frames), average_precision, unit="images", seed=arguments.seed)
    _write_classes(classes, out / "coco_per_class.csv")
    finish_record(
        out / "record_coco.json",
        protocol=COCO,
        metrics={name: Metric(value, interval=interval if name == "AP" else None) for name, value in summary.items()},
        per_item={name: {k: v for k, v in values.items() if v is not None} for name, values in classes.items()},
        files=files | {"tables": "coco_per_class.csv"},
        timing=watch.timing(frames),
        **shared,
    )


def _overlay(results: Results, path: Path) -> Path:
    index, frame = busiest_frame(results.truths)
    truth = results.truths[index]
    picture = results.layout.frames(truth.name)[frame - 1]
    return draw_overlay(picture, frame, truth, results.detections[index], path)


def _write_classes(classes: dict[str, dict[str, float | None]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["category", *next(iter(classes.values()))], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"category": name, **values} for name, values in classes.items())
    write_atomic(path, lambda temporary: temporary.write_text(text.getvalue()))
