"""A small study on disk, and what its finished cells leave."""

import json
import struct
from pathlib import Path

from support.records import record

from results.record import Metric
from results.store import write_record

RECIPE = "configs/pretrain/flsl_demo.py"
DAVIS = {"benchmark": "davis", "data": "clips", "options": {"split": "val"}}
LINEAR = {"benchmark": "segment", "data": "clips", "options": {"protocol": "linear-leopart"}}
SELECTION = {"benchmark": "davis", "data": "clips", "options": {"split": "train"}}


def study_file(folder, **changes) -> Path:
    values = {
        "title": "Is A better than B?",
        "baseline": "a",
        "methods": {
            name: {"recipe": RECIPE, "trials": [["optimizer.lr=1e-3"], ["optimizer.lr=2e-3"]]} for name in ("a", "b")
        },
        "floors": {"random": "random:vit_micro/16", "pixels": "pixels/16"},
        "seeds": [0, 1],
        "pretraining": ["pictures"],
        "selection": [SELECTION],
        "tests": [DAVIS],
    }
    path = folder / "study.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in (values | changes).items()))
    return path


def finish(cell, values, annotations="cd" * 32):
    """Put what a finished cell leaves into its folder: items' scores for an evaluation, nothing for a pretraining."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    if values is None:
        (cell.folder / "run.json").write_text(json.dumps({"finished": {"steps": 4}}))
        lines = [{"step": step, "loss": 4.0 - step, "images_per_second": 8.0} for step in (1, 3)]
        lines += [{"step": 3, "probe": {"effective_rank": 3.0}}]
        (cell.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        facts = {"__metadata__": {"pretraining": json.dumps({"steps": 4, "batch_size": 8, "flops_per_image": 1e9})}}
        header = json.dumps(facts).encode()
        Path(cell.checkpoint).write_bytes(struct.pack("<Q", len(header)) + header)
        return
    mean = sum(values) / len(values)
    found = record(
        name=cell.model,
        annotation_sha256=annotations,
        metrics={name: Metric(mean) for name in ("J&F", "J", "F")},
        per_item={f"clip{number}": {"J&F": value, "J": value} for number, value in enumerate(values)},
        seed=cell.seed,
        items_expected=len(values),
        items_evaluated=len(values),
    )
    write_record(found, cell.folder / "record.json")


def finish_all(cells, a=70.0, b=50.0):
    """Finish every cell; the second trial is the better one of both methods."""
    for trial in cells.trials():
        finish(trial, None)
    for scoring in cells.selecting():
        finish(scoring, [40.0 + scoring.made_by.trial + n for n in range(8)], annotations="ef" * 32)
    for scoring in cells.floors():
        finish(scoring, [30.0 + n for n in range(8)])
    for chosen in cells.chosen().values():
        for run in cells.final(chosen):
            finish(run, None)
            for scoring in cells.tests(run):
                finish(scoring, [{"a": a, "b": b}[run.method] + run.seed / 2 + n for n in range(8)])
