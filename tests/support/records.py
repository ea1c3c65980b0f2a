"""Makers of records: complete, official ones, and what a test changes in them."""

import dataclasses

from results.record import Dataset, Interval, Metric, Model, Record, Timing


def davis_metrics(j=60.0, f=64.0, width=2.0, units=30):
    mean = (j + f) / 2
    interval = Interval(max(mean - width, 0), min(mean + width, 100), unit="sequences", units=units)
    return {"J&F": Metric(mean, interval=interval), "J": Metric(j), "F": Metric(f)}


def coco_metrics(box=44.7, mask=40.6):
    scores = {"AP": 0.0, "AP50": 21.0, "AP75": 3.0}
    return {f"box_{k}": Metric(box + v) for k, v in scores.items()} | {
        f"mask_{k}": Metric(mask + v) for k, v in scores.items()
    }


def record(**changes) -> Record:
    """A complete, official DAVIS record; keyword arguments change its fields, `model` and `dataset` fields included."""
    fields = {
        "model": Model("flsl s16", "FLSL", "vit_small", 16, 21_589_632, "ab" * 32, pretraining={"data": "in1k"}),
        "benchmark": "davis2017",
        "protocol": "davis2017/dino@1",
        "dataset": Dataset("davis2017", "val", True, 30, 30, "sequences", "cd" * 32),
        "metrics": davis_metrics(),
        "headline": "J&F",
        "seed": 0,
        "timing": Timing(12.5, 160.0, 900.0, {"propagation": 11.0}),
        "command": "python -m eval davis --checkpoint x --data y --out z",
        "config": {"radius": 12, "temperature": 0.1},
        "per_item": {"dog": {"J": 60.0}, "camel": {"J": 61.0}},
        "environment": {"python": "3.11.7", "packages": {"torch": "2.14.1"}},
        "code": {"commit": "0" * 40, "dirty": False},
        "created": "2024-05-01T12:00:00+00:00",
    }
    for part in ("model", "dataset"):
        names = {field.name for field in dataclasses.fields(fields[part])}
        own = {name: changes.pop(name) for name in list(changes) if name in names}
        fields[part] = dataclasses.replace(fields[part], **own)
    if "metrics" in changes and changes.get("headline") is None:
        changes["headline"] = next(iter(changes["metrics"]))
    return Record(**(fields | changes))
