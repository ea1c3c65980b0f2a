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

COLUMNS = [
    "benchmark", "protocol", "dataset", "split", "official", "status", "model", "method", "architecture", "patch_size",
    "fingerprint", "recipe", "seed", "items_evaluated", "items_expected", "wall_seconds", "created", "path", "metric", "headline",
    "value", "low", "high",
]  # fmt: skip


def to_frame(records: Mapping[Path, Record]) -> "pandas.DataFrame":
    """Return one line a (record, metric), in the order of the records: scores in percent, NaN where there is none."""
    import pandas

    lines = [
        (
            record.benchmark,
            record.protocol,
            record.dataset.name,
            record.dataset.split,
            record.dataset.official,
            record.status,
            record.model.name,
            record.model.method,
            record.model.architecture,
            record.model.patch_size,
            record.model.fingerprint,
            record.config_sha256[:8],
            record.seed,
            record.dataset.items_evaluated,
            record.dataset.items_expected,
            record.timing.wall_seconds,
            record.created,
            str(path),
            name,
            name == record.headline,
            metric.value,
            metric.interval.low if metric.interval else None,
            metric.interval.high if metric.interval else None,
        )
        for path, record in records.items()
        for name, metric in record.metrics.items()
    ]
    return pandas.DataFrame(lines, columns=COLUMNS)
