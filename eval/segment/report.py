"""From saved predictions to the record: figures, tables by class, a picture of the worst and best images."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from eval.metrics.segmentation import class_rows
from eval.predictor import Predictor
from eval.run import Run
from eval.segment.datasets import SegmentationData
from eval.segment.pictures import write_sheet
from eval.segment.scoring import Scored, score_classes
from eval.table import write_table
from results import record

PREDICTIONS = "predictions"
TABLES = ("classes.csv", "confusion.csv", "sheet.png")  # what scoring writes


def write_report(
    run: Run,
    data: SegmentationData,
    scored: Scored,
    protocol: str,
    model: Predictor,
    config: Mapping[str, Any],
    files: Mapping[str, str] = {},
) -> record.Record:
    """Score predictions; write the tables, the picture and the record.

    Args:
        run: the evaluation.
        data: the data set.
        scored: predictions, and which images.
        protocol: as the record names it.
        model: who made the predictions.
        config: constants or recipe, for the record.
        files: what else the run has written.

    Raises:
        UserError: a prediction or mask cannot be used.
    """
    metrics = [metric.name for metric in run.benchmark.metrics_of(protocol)]
    method = import_module(scored.protocol.method)
    with run.watch.phase("scoring"):
        scores = getattr(method, "score", score_classes)(scored, metrics)
    write_table(run.out / "classes.csv", class_rows(scores.total, data.classes))
    rows = [
        {"true class": name, **dict(zip(data.classes, row.tolist()))} for name, row in zip(data.classes, scores.total)
    ]
    write_table(run.out / "confusion.csv", rows)
    with run.watch.phase("pictures"):
        write_sheet(scored, scores, f"{model.model['name']}, {protocol}", run.out / "sheet.png")
    files = {**files, "classes": "classes.csv", "confusion": "confusion.csv", "sheet": "sheet.png"}
    if scored.predictions.folder.resolve() == (run.out / PREDICTIONS).resolve():
        files["predictions"] = PREDICTIONS
    split = scored.split
    return run.finish(
        model=model.model,
        protocol=protocol,
        dataset=record.Dataset(
            name=data.record_name(split.name),
            split=split.name,
            official=data.is_official(data.train) and data.is_official(split.name),
            items_expected=len(split),
            items_evaluated=len(scored.chosen),
            item=run.benchmark.item,
            annotation_sha256=split.truth_digest,
        ),
        values=scores.values,
        intervals=scores.intervals,
        items=len(scored.chosen),
        config=config,
        per_item=scores.per_image,
        files=files,
        warnings=model.warnings + scores.warnings,
    )
