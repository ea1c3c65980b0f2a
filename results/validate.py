"""Invariants that a record satisfies before it is written and after it is read (docs/protocols.md, "Invariants")."""

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise

from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.names import safe_name
from results.benchmarks import BENCHMARKS
from results.record import Metric, Record
from results.schema import config_hash

ROUNDING = 1e-6  # percent; sums in another order differ by far less, a wrong metric by far more
PROTOCOL = re.compile(r"[\w.+-]+/[\w.+-]+@[1-9]\d*")


def problems(record: Record) -> list[str]:
    """Return every invariant that the record breaks, each as a clause that names the key; an empty list is a pass."""
    found = [*_identity(record), *_items(record), *_declared(record), *_metrics(record)]
    return [*found, *_single_items(record), *_details(record)]


def metric_problems(values: Mapping[str, float], rounding: float = ROUNDING) -> list[str]:
    """Return what is impossible about a set of scores in percent: bounds, J&F = (J + F) / 2, G as the mean of its four parts,
    AP <= AP50, AP75 <= AP50, PCK that falls with distance.

    `rounding` is how far a value may be off; figures printed with one decimal are off by up to 0.05.
    """
    found = []
    for name, value in values.items():
        if not -rounding <= value <= 100.0 + rounding:
            found.append(f"{name} is {value:g}, outside 0..100 percent")
    if {"J&F", "J", "F"} <= values.keys():
        mean = (values["J"] + values["F"]) / 2
        if abs(values["J&F"] - mean) > 2 * rounding:
            found.append(f"J&F is {values['J&F']:g}, but (J + F) / 2 is {mean:g}")
    parts = ("J_seen", "J_unseen", "F_seen", "F_unseen")
    if {"G", *parts} <= values.keys():
        mean = sum(values[name] for name in parts) / len(parts)
        if abs(values["G"] - mean) > 2 * rounding:
            found.append(f"G is {values['G']:g}, but the mean of {', '.join(parts)} is {mean:g}")
    for at_50 in (name for name in values if name.endswith("AP50")):
        for other in (at_50[:-2], at_50[:-2] + "75"):
            if other in values and values[other] > values[at_50] + 2 * rounding:
                found.append(f"{other} is {values[other]:g}, more than {at_50} ({values[at_50]:g})")
    for near, far in pairwise(sorted(name for name in values if name.startswith("PCK@"))):
        if values[near] > values[far] + 2 * rounding:
            found.append(f"{near} is {values[near]:g}, more than {far} ({values[far]:g})")
    return found


def _identity(record: Record) -> list[str]:
    found = []
    if not PROTOCOL.fullmatch(record.protocol):
        found.append(f"protocol is {record.protocol!r}, but must be NAME/VARIANT@VERSION such as 'davis2017/dino@1'")
    for key, text in (
        ("benchmark", record.benchmark),
        ("model.name", record.model.name),
        ("model.method", record.model.method),
        ("model.architecture", record.model.architecture),
        ("model.fingerprint", record.model.fingerprint),
        ("dataset.name", record.dataset.name),
        ("dataset.split", record.dataset.split),
    ):
        if not text.strip():
            found.append(f"{key} is empty")
    return found


def _items(record: Record) -> list[str]:
    data = record.dataset
    evaluated, expected = data.items_evaluated, data.items_expected
    if expected < 1:
        return [f"dataset counts {evaluated} of {expected} {data.item}, but there must be at least one"]
    if evaluated > expected:
        return [f"dataset.items_evaluated is {evaluated}, more than items_expected ({expected})"]
    if record.status != "complete":
        return []
    if evaluated < expected:
        return [f"only {evaluated} of {expected} {data.item} were evaluated, so status must be 'partial'"]
    benchmark = BENCHMARKS.get(record.benchmark)
    for name, metric in record.metrics.items():
        over = metric.interval
        counted = over.units if over and over.unit == data.item else None
        if counted and (counted > evaluated or (counted < evaluated and benchmark and benchmark.all_scored)):
            return [f"the interval of {name} is over {counted} {data.item}, but dataset.items_evaluated is {evaluated}"]
    return []


def _declared(record: Record) -> list[str]:
    """Return what contradicts the benchmark's declaration; a benchmark that is not declared here is none of ours."""
    benchmark = BENCHMARKS.get(record.benchmark)
    if benchmark is None or not PROTOCOL.fullmatch(record.protocol):
        return []
    try:
        declared = {metric.name: metric for metric in benchmark.metrics_of(record.protocol)}
    except UserError as error:
        return [str(error).rstrip(".")]
    found = []
    for name, metric in record.metrics.items():
        if name not in declared:
            found.append(unknown_key(f"metrics.{name}", name, declared, f"metric of {record.protocol}").rstrip("."))
            continue
        for key in ("unit", "higher_is_better"):
            value, right = getattr(metric, key), getattr(declared[name], key)
            if value != right:
                found.append(f"metrics.{name}.{key} is {value!r}, but {record.benchmark} declares {right!r}")
    return found


def _metrics(record: Record) -> list[str]:
    found = _each_metric(record.metrics)
    if record.status == "failed":
        return found
    if record.headline not in record.metrics:
        found.append(
            unknown_key(f"headline {record.headline!r}", record.headline, record.metrics, "metric").rstrip(".")
        )
    elif record.metrics[record.headline].value is None and record.status == "complete":
        found.append(f"the headline metric {record.headline!r} has no value")
    percent = {k: m.value for k, m in record.metrics.items() if m.value is not None and m.unit == "percent"}
    return found + metric_problems(percent)


def _each_metric(metrics: Mapping[str, Metric]) -> list[str]:
    found = []
    for name, metric in metrics.items():
        if metric.unit == "percentage points" and metric.value is not None and abs(metric.value) > 100 + ROUNDING:
            found.append(f"{name} is {metric.value:g}, outside -100..100 percentage points")
        interval = metric.interval
        if interval is None:
            continue
        if not interval.low <= interval.high:
            found.append(f"the interval of {name} has low {interval.low:g} above high {interval.high:g}")
        elif metric.value is None:
            found.append(f"{name} has an interval, but no value")
        elif not interval.low - ROUNDING <= metric.value <= interval.high + ROUNDING:
            bounds_of = f"{interval.low:g} to {interval.high:g}"
            found.append(f"{name} is {metric.value:g}, outside its own interval ({bounds_of})")
        bounds = metric_problems({name: interval.low}) or metric_problems({name: interval.high})
        if metric.unit == "percent" and bounds:
            found.append(f"a bound of the interval: {bounds[0]}")
    return found


def _single_items(record: Record) -> list[str]:
    """Return what is impossible about scores of single items; those of a metric of the record have its unit."""
    lowest = {"percent": 0.0, "percentage points": -100.0}
    found = []
    for item, scores in record.per_item.items():
        for name, value in scores.items():
            # COCO's items are scored by boxes.
            metric = record.metrics.get(name) or record.metrics.get(f"box_{name}")
            if metric and not lowest[metric.unit] - ROUNDING <= value <= 100.0 + ROUNDING:
                found.append(f"per_item.{item}.{name} is {value:g}, outside {lowest[metric.unit]:g}..100 {metric.unit}")
    return found


def _details(record: Record) -> list[str]:
    found = []
    for what, path in record.files.items():
        try:
            safe_name(path, "a file", f"files.{what}", folders=True)
        except UserError:
            found.append(f"files.{what} is {path!r}, but must be relative to the record and inside its folder")
    if record.created:
        try:
            datetime.fromisoformat(record.created.replace("Z", "+00:00"))
        except ValueError:
            found.append(
                f"created is {record.created!r}, but must be an ISO 8601 time such as 2024-05-01T12:00:00+00:00"
            )
    made_by = record.config.get("protocol")
    if isinstance(made_by, Mapping) and {"name", "version"} <= made_by.keys():
        named = f"/{made_by['name']}@{made_by['version']}"
        if not record.protocol.endswith(named):
            found.append(f"protocol is {record.protocol!r}, but its constants in config are those of {named[1:]!r}")
    if record.config_sha256 and record.config_sha256 != config_hash(record.config):
        found.append("config_sha256 is not the hash of config: one of them was edited")
    return found
