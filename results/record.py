"""The result record: what was measured, with which model, on what data, by which protocol, and how surely.

`results.store` writes and reads records; `results.validate` holds their invariants. Names of metrics:

    davis2017        J&F  J  F  J_recall  J_decay  F_recall  F_decay
    coco             box_AP  box_AP50  box_AP75  box_APs ...  and the same with mask_
    uavdt/official   AP
    uavdt/coco       AP  AP50  AP75  APs  APm  APl ...
"""

from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a metric; `unit` is what was resampled (docs/protocols.md, "Uncertainty").

    With a single unit there is nothing to resample: `low == high`, and tables show no interval.
    """

    low: float
    high: float
    confidence: float = 0.95
    method: str = "percentile bootstrap"
    resamples: int = 1000
    seed: int = 0
    unit: str = "items"
    units: int | None = None  # how many there were to resample


@dataclass(frozen=True)
class Metric:
    """One number at full precision. `percent` runs over 0..100; `percentage points` are differences and run over
    -100..100 (a DAVIS decay is one). None: the data hold nothing to measure it on (such as AP of small objects
    where there are none)."""

    value: float | None
    unit: Literal["percent", "percentage points"] = "percent"
    higher_is_better: bool = True
    interval: Interval | None = None


@dataclass(frozen=True)
class Model:
    """The encoder that was scored."""

    name: str
    method: str
    architecture: str
    patch_size: int
    parameters: int
    fingerprint: str
    file_sha256: str | None = None
    source: str = ""
    pretraining: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """The data. `official` is true only where the split is the benchmark's own and whole; nothing else may be
    compared with published figures."""

    name: str
    split: str
    official: bool
    items_expected: int
    items_evaluated: int
    item: str = "images"
    annotation_sha256: str | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds of wall clock in all and by phase, throughput, and peak memory of the process in MiB."""

    wall_seconds: float
    items_per_second: float | None = None
    peak_memory_mib: float | None = None
    phases: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """One result: (model, benchmark, protocol, dataset, seed). Written once, never edited."""

    model: Model
    benchmark: str  # davis2017, coco, uavdt, ...
    protocol: str  # name and version, e.g. davis2017/dino@1
    dataset: Dataset
    metrics: dict[str, Metric]
    headline: str  # key of `metrics`
    seed: int
    timing: Timing
    command: str
    config: dict[str, Any] = field(default_factory=dict)  # resolved recipe
    config_sha256: str = ""  # of `config`; filled in on write
    seeds: dict[str, int] = field(default_factory=dict)  # every further seed: what it seeded -> seed
    per_item: dict[str, dict[str, float]] = field(default_factory=dict)  # e.g. sequence -> metrics
    files: dict[str, str] = field(default_factory=dict)  # what -> path relative to the record
    warnings: list[str] = field(default_factory=list)
    status: Literal["complete", "partial", "failed"] = "complete"
    environment: dict[str, Any] = field(default_factory=dict)
    code: dict[str, Any] = field(default_factory=dict)  # git commit and dirty flag
    created: str = ""  # ISO 8601, UTC
    schema_version: int = SCHEMA_VERSION
