"""The result record: what was measured, with which model, on what data, by which protocol, and how surely.

`results.store` writes and reads records, which checks them: types and ranges as declared here, relations between values
in `results.validate`. `results.benchmarks` declares which metrics the records of a benchmark hold.
"""

import math
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from flsl.runtime.schema import Count, NotNegative, PositiveInt, section_of_a_record
from results.declaration import Unit

SCHEMA_VERSION: Literal[2] = 2
# JSON Schema has no other way to tell these two; here `results.validate` says it in better words.
Protocol = Annotated[str, Field(json_schema_extra={"pattern": r"^[\w.+-]+/[\w.+-]+@[1-9]\d*$"})]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**64)]  # what generators of random numbers take
FEWEST_UNITS = 5  # an interval over fewer says nothing: resamples of them are the same few again
Time = Annotated[str, Field(json_schema_extra={"description": "ISO 8601 time, UTC"})]


def is_storable(number: float) -> bool:
    """Tell whether every reader of JSON takes a number for the same: finite, and a whole one of at most 64 bits."""
    return number.bit_length() <= 64 if isinstance(number, int) else math.isfinite(number)


def _free(value: Any) -> Any:
    """Refuse numbers that cannot be stored, wherever they stand in a section of any shape."""
    waiting = [value]
    while waiting:  # paths are only made where something is wrong: most of a record is such sections
        item = waiting.pop()
        kind = type(item)
        if kind is dict:
            waiting.extend(item.values())
        elif kind is list:
            waiting.extend(item)
        elif (kind is int or kind is float) and not is_storable(item):
            raise ValueError(
                f"{_place(value, item)} is no number to store: NaN, infinite, or a whole one of over 64 bits"
            )
    return value


def _place(value: Any, wanted: Any, path: str = "") -> str | None:
    """Return where an item stands in nested plain values."""
    if value is wanted:
        return path.lstrip(".")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    places = (
        _place(item, wanted, f"{path}.{key}" if isinstance(value, dict) else f"{path}[{key}]") for key, item in items
    )
    return next((place for place in places if place is not None), None)


Free = Annotated[dict[str, Any], AfterValidator(_free)]  # a section whose keys belong to whoever wrote the record


@section_of_a_record
class Interval:
    """A confidence interval of a metric; `unit` is what was resampled (docs/protocols.md, "Uncertainty").

    It covers which units were drawn, with the one training that was scored. Below `FEWEST_UNITS` nothing shows it.
    """

    low: float
    high: float
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    method: str = "percentile bootstrap"
    resamples: PositiveInt = 1000
    seed: Seed = 0
    unit: str = "items"
    units: PositiveInt | None = None  # how many there were to resample

    @property
    def covers(self) -> str:
        """What it is over, in words, such as `30 sequences`."""
        return f"{self.units} {self.unit}" if self.units else self.unit


@section_of_a_record
class Metric:
    """One number at full precision. `percent` runs over 0..100; `percentage points` are differences and run over
    -100..100 (a DAVIS decay is one). None: the data hold nothing to measure it on (such as AP of small objects
    where there are none)."""

    value: float | None
    unit: Unit = "percent"
    higher_is_better: bool = True
    interval: Interval | None = None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Return the interval as tables show it: None where there is none, or one over too few units to mean anything."""
        interval = self.interval
        few = interval is not None and interval.units is not None and interval.units < FEWEST_UNITS
        return None if interval is None or few else (interval.low, interval.high)


@section_of_a_record
class Model:
    """The encoder that was scored."""

    name: str
    method: str
    architecture: str
    patch_size: Count
    parameters: Count
    fingerprint: str
    file_sha256: str | None = None
    source: str = ""
    pretraining: Free = field(default_factory=dict)


@section_of_a_record
class Dataset:
    """The data. `official` is true only where the split is the benchmark's own and whole; nothing else may be
    compared with published figures."""

    name: str
    split: str
    official: bool
    items_expected: Count
    items_evaluated: Count
    item: str = "images"
    annotation_sha256: str | None = None
    train_sha256: str | None = None  # of the labels that were learned from, where there were any


@section_of_a_record
class Timing:
    """Seconds of wall clock in all and by phase, throughput, and peak memory of the process, and on its GPU, in MiB."""

    wall_seconds: NotNegative
    items_per_second: NotNegative | None = None
    peak_memory_mib: NotNegative | None = None
    phases: dict[str, NotNegative] = field(default_factory=dict)
    peak_device_memory_mib: NotNegative | None = None


@section_of_a_record
class Record:
    """One result: (model, benchmark, protocol, dataset, seed). Written once, never edited."""

    model: Model
    benchmark: str  # davis2017, coco, uavdt, ...
    protocol: Protocol  # name and version, e.g. davis2017/dino@1
    dataset: Dataset
    metrics: dict[str, Metric]
    headline: str  # key of `metrics`
    seed: Seed
    timing: Timing
    command: str
    config: Free = field(default_factory=dict)  # resolved recipe
    config_sha256: str = ""  # of `config`; filled in on write
    seeds: dict[str, Seed] = field(default_factory=dict)  # every further seed: what it seeded -> seed
    per_item: dict[str, dict[str, float]] = field(default_factory=dict)  # e.g. sequence -> metrics
    files: dict[str, str] = field(default_factory=dict)  # what -> path relative to the record
    warnings: list[str] = field(default_factory=list)
    status: Literal["complete", "partial", "failed"] = "complete"
    environment: Free = field(default_factory=dict)
    code: Free = field(default_factory=dict)  # git commit and dirty flag
    created: Time = ""  # ISO 8601, UTC
    schema_version: Literal[2] = SCHEMA_VERSION
