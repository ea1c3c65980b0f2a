"""From saved detections to both protocols: read them, score them, write the tables, curves and records."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.detector.annotations import Annotations
from eval.metrics.coco import Backend, Evaluation, evaluate, summarize
from eval.metrics.resample import ap_resampler
from eval.progress import counted
from eval.run import Run
from eval.table import write_table
from eval.uavdt import official
from eval.uavdt.coco_format import coco_document, coco_results
from eval.uavdt.figures import draw_official, draw_overlay
from eval.uavdt.files import (
    CATEGORIES,
    NO_CATEGORY,
    SequenceDetections,
    SequenceTruth,
    missing_ignore_files,
    read_detections,
)
from eval.uavdt.layout import Layout
from eval.uavdt.tables import official_tables
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic
from results.bootstrap import RESAMPLES, percentile_interval
from results.record import Dataset, Record

OFFICIAL = "uavdt/official@1"
COCO = "uavdt/coco@1"
COCO_RECORD = "record_coco.json"
MAX_DETECTIONS = 500  # of a frame and category, by `uavdt/coco`
# What scoring writes.
OUTPUTS = (
    COCO_RECORD,
    "overlay.png",
    "official_tables.csv",
    "official.png",
    "precision_recall.npz",
    "coco_per_class.csv",
)


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

    @property
    def has_categories(self) -> bool:
        """Whether every detection names its category; without, only the official protocol can be computed."""
        return all((found.category != NO_CATEGORY).all() for found in self.detections)

    def evaluate_as_coco(self, backend: Backend) -> tuple[Evaluation, int, Callable[[np.ndarray], float]]:
        """Return COCO's evaluation over car, truck and bus, ignore regions being crowds, the number of frames, and the
        AP in percent of drawn ones (`eval.metrics.resample.ap_resampler`)."""
        document = coco_document(self.layout, self.truths)
        truth = Annotations.of(self.layout.truth, document, [])
        found = coco_results(document, self.detections)
        evaluation = evaluate(truth, found, "box", backend, MAX_DETECTIONS)
        return evaluation, *ap_resampler(truth, found, evaluation)


def read_results(layout: Layout, predictions: Path) -> Results:
    """Read the ground truth of the test split and the detections in `predictions`, one file a sequence.

    Raises:
        UserError: no such folder, a file is missing or malformed, or there is no box at all to find.
    """
    if not predictions.is_dir():
        raise UserError(f"{predictions} is not a folder; expected one <sequence>.txt of detections a test sequence.")
    truths = layout.read_truths("test")
    names = [truth.name for truth in truths]
    detections = [read_detections(predictions, name, layout.length(name)) for name in names]
    # Where nothing tells how long a sequence is, it is as long as its boxes and detections say.
    truths = [
        dataclasses.replace(truth, length=max(truth.length, int(found.frame.max(initial=1))))
        for truth, found in zip(truths, detections)
    ]
    warnings = []
    if without := missing_ignore_files(layout.truth, names):
        warnings.append(f"no ignore file for {', '.join(without)}: these sequences are scored without ignore regions")
    return Results(layout, truths, detections, warnings)


def write_scores(run: Run, results: Results, backend: Backend, about: Mapping[str, Any]) -> Record:
    """Score by both protocols; write tables, curve, overlay, `record_coco.json` and, last, `record.json`.

    Without categories in the detections only the official protocol can be computed; the record then says so.

    Args:
        run: the evaluation.
        results: test split and detections.
        backend: of COCO's metrics, `faster` or `pycocotools`.
        about: what else `Run.finish` is told.

    Returns:
        The record of the official protocol.
    """
    files, out = dict(about["files"]), run.out
    shared = {name: value for name, value in about.items() if name != "files"}
    shared |= {"dataset": results.dataset, "tools": {"metric_backend": backend}}
    shared["warnings"] = [*results.warnings, *about["warnings"]]
    if results.layout.has_frames:
        files["overlay"] = draw_overlay(results.layout, results.truths, results.detections, out / "overlay.png").name
    if results.has_categories:
        _score_coco(run, results, files, shared, backend)
    else:
        (out / COCO_RECORD).unlink(missing_ok=True)
        shared["warnings"].append(
            f"the detections name no category (column 9 is -1 or absent), so {COCO} was not computed"
        )
        print(f"note: {shared['warnings'][-1]}")
    return _score_official(run, results, files, shared)


def _score_official(run: Run, results: Results, files: dict[str, str], shared: dict[str, Any]) -> Record:
    out = run.out
    with run.watch.phase("official metric"):
        scores = [official.score_sequence(*pair) for pair in zip(results.truths, results.detections)]
        curve = official.pool(scores)
        rows = official_tables(scores)
    with run.watch.phase("official interval"):
        resampler = official.FrameResampler(scores)
        frames = np.arange(resampler.frames)
        statistic = counted(resampler.average_precision, "interval of the official AP: resample", RESAMPLES + 1)
        interval = percentile_interval(frames, statistic, unit="images", seed=run.seed)
    write_table(out / "official_tables.csv", rows)
    if draw_official(out / "official.png", curve, rows):
        files = files | {"curves": "official.png"}
    write_atomic(
        out / "precision_recall.npz",
        lambda path: np.savez_compressed(path, recall=curve.recall, precision=curve.precision),
    )
    return run.finish(
        protocol=OFFICIAL,
        values={"AP": curve.average_precision},
        intervals={"AP": interval},
        items=len(frames),
        per_item={row["group"]: {"AP": row["AP"]} for row in rows if row["table"] == "sequence" and row["boxes"]},
        files=files | {"tables": "official_tables.csv", "precision_recall": "precision_recall.npz"},
        **shared,
    )


def _score_coco(run: Run, results: Results, files: dict[str, str], shared: dict[str, Any], backend: Backend) -> None:
    with run.watch.phase("coco metric"):
        evaluation, frames, average_precision = results.evaluate_as_coco(backend)
        rows = [{"category": name, **values} for name, values in zip(CATEGORIES.values(), evaluation.per_class())]
    with run.watch.phase("coco interval"):
        statistic = counted(average_precision, "interval of COCO's AP: resample", RESAMPLES + 1)
        interval = percentile_interval(np.arange(frames), statistic, unit="images", seed=run.seed)
        ends = np.cumsum([truth.length for truth in results.truths])
        alone = [average_precision(part) for part in np.split(np.arange(frames), ends[:-1])]
    write_table(run.out / "coco_per_class.csv", rows)
    run.finish(
        file=COCO_RECORD,
        protocol=COCO,
        values=summarize(evaluation.precision),
        intervals={"AP": interval},
        items=frames,
        per_item={truth.name: {"AP": ap} for truth, ap in zip(results.truths, alone) if not np.isnan(ap)},
        files=files | {"tables": "coco_per_class.csv"},
        **shared,
    )
