"""Records as a pandas data frame, for analysis in a notebook.

from results.frame import to_frame
from results.store import load_records
frame = to_frame(load_records("runs").records)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from results.record import Record

if TYPE_CHECKING:
    import pandas


def to_frame(records: Mapping[Path, Record]) -> "pandas.DataFrame":
    """Return one line a (record, metric), in the order of the records: scores in percent, NaN where there is none."""
    import pandas

    lines = []
    for path, record in records.items():
        common = {
            "benchmark": record.benchmark,
            "protocol": record.protocol,
            "dataset": record.dataset.name,
            "split": record.dataset.split,
            "official": record.dataset.official,
            "status": record.status,
            "model": record.model.name,
            "method": record.model.method,
            "architecture": record.model.architecture,
            "patch_size": record.model.patch_size,
            "fingerprint": record.model.fingerprint,
            "recipe": record.config_sha256[:8],
            "seed": record.seed,
            "items_evaluated": record.dataset.items_evaluated,
            "items_expected": record.dataset.items_expected,
            "wall_seconds": record.timing.wall_seconds,
            "created": record.created,
            "path": str(path),
        }
        for name, metric in record.metrics.items():
            bounds = metric.interval
            score = {"metric": name, "headline": name == record.headline, "value": metric.value}
            limits = {"low": bounds.low if bounds else None, "high": bounds.high if bounds else None}
            lines.append(common | score | limits)
    return pandas.DataFrame(lines)
