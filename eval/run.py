"""One evaluation run: is it done already, on which device, how long each phase takes, and its record at the end."""

import argparse
import contextlib
import hashlib
import os
import resource
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError
from results.environment import collect_code, collect_environment
from results.record import Dataset, Metric, Model, Record, Timing
from results.store import read_record, write_record


def already_done(out: Path, when_exists: str, file: str = "record.json") -> bool:
    """Tell whether `out` holds a finished result that should be kept, printing (once, of several ranks) why it is skipped.

    Raises:
        UserError: a result is there and `when_exists` is "fail".
    """
    path = out / file
    if not path.exists() or when_exists == "overwrite":
        return False
    if when_exists == "fail":
        raise UserError(f"{path} exists. Choose another --out, or --when-exists skip|overwrite.")
    record = read_record(path)
    if os.environ.get("RANK", "0") != "0":
        return True
    print(
        f"skipped: {path} holds a {record.status} result of {record.model.name} on {record.protocol} "
        f"({record.headline} {_show(record.metrics.get(record.headline))}); --when-exists overwrite runs it again"
    )
    return True


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


class Stopwatch:
    """Wall clock of a run and of its phases."""

    def __init__(self):
        self.start = time.perf_counter()
        self.phases: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to the phase `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds that were measured elsewhere to the phase `name`."""
        self.phases[name] = self.phases.get(name, 0.0) + seconds

    def timing(self, items: int | None = None) -> Timing:
        """Return the record's timing section; `items` evaluated give the throughput."""
        wall = time.perf_counter() - self.start
        return Timing(
            wall_seconds=wall,
            items_per_second=items / wall if items else None,
            peak_memory_mib=peak_memory(),
            phases=dict(self.phases),
        )


def outside_model(name: str, kind: str, files: Iterable[Path]) -> dict[str, Any]:
    """Return the record's model fields for a method of which only the predictions are known.

    Args:
        name: shown in tables.
        kind: "detector" or "method".
        files: the predictions; their contents identify the model. A file that is not there counts as empty.
    """
    digest = hashlib.sha256()
    for path in files:
        digest.update((path.read_bytes() if path.is_file() else b"") + b"\0")
    return {
        "name": name,
        "method": f"outside {kind}",
        "architecture": "unknown",
        "patch_size": 0,
        "parameters": 0,
        "fingerprint": digest.hexdigest(),
        "source": "scored from saved predictions",
    }


def finish_record(
    path: Path,
    *,
    arguments: argparse.Namespace,
    model: dict[str, Any],
    benchmark: str,
    protocol: str,
    dataset: Dataset,
    metrics: dict[str, Metric],
    headline: str,
    timing: Timing,
    config: dict[str, Any] | None = None,
    per_item: dict[str, dict[str, float]] | None = None,
    files: dict[str, str] | None = None,
    warnings: list[str] | None = None,
    device: Any = None,
) -> Record:
    """Build a run's record, write it to `path` and print its headline.

    `model` is `LoadedEncoder.model_fields(...)`. The status is `partial` unless every expected item was evaluated.
    """
    environment = collect_environment()
    if device is not None and device.type == "cuda":
        import torch

        environment["gpu"] = torch.cuda.get_device_name(device)
    record = Record(
        model=Model(**model),
        benchmark=benchmark,
        protocol=protocol,
        dataset=dataset,
        metrics=metrics,
        headline=headline,
        seed=arguments.seed,
        timing=timing,
        command=shlex.join(["python", "-m", "eval", *sys.argv[1:]]),
        config=config or {},
        per_item=per_item or {},
        files=files or {},
        warnings=warnings or [],
        status="complete" if dataset.items_evaluated == dataset.items_expected else "partial",
        environment=environment,
        code=collect_code(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    write_record(record, path)
    print(f"{protocol} {dataset.name}: {headline} {_show(metrics.get(headline))} ({record.status}) -> {path}")
    return record


def _show(metric: Metric | None) -> str:
    """Return a score and its interval as text."""
    if metric is None or metric.value is None:
        return "not measured"
    interval = f" [{metric.interval.low:.2f}, {metric.interval.high:.2f}]" if metric.interval else ""
    return f"{metric.value:.2f}{interval}"
