"""What a declaration of a benchmark says; `results.benchmarks` holds the declarations. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from flsl.runtime.errors import UserError, unknown_key

Unit = Literal["percent", "percentage points"]


@dataclass(frozen=True)
class MetricDeclaration:
    """One number of a record. `percent` runs over 0..100, `percentage points` over -100..100."""

    name: str  # its key in a record
    heading: str  # as tables print it
    unit: Unit = "percent"
    higher_is_better: bool = True
    column: bool = True  # whether the leaderboard gives it a column; the rest is in the records alone
    group: str = ""  # the end of its heading, where neighboring columns share one above them


@dataclass(frozen=True)
class ProtocolDeclaration:
    """What the records of some protocols hold: names without version, such as `coco/*`, and their metrics."""

    pattern: str
    headline: str  # the metric that ranks
    metrics: tuple[MetricDeclaration, ...]

    def covers(self, protocol: str) -> bool:
        """Tell whether a record's protocol, such as `coco/mask-rcnn_1x@1`, is one of these."""
        return fnmatchcase(protocol.partition("@")[0], self.pattern)


@dataclass(frozen=True)
class Column:
    """One column of a table: a metric by a protocol. Records of that protocol on the official data stand in it."""

    protocol: str
    metric: MetricDeclaration
    words: str = ""  # heading, where the metric's own does not do because a table has several protocols

    @property
    def heading(self) -> str:
        """What stands above it."""
        return self.words or self.metric.heading

    @property
    def short(self) -> str:
        """What stands above it below its group's heading."""
        return self.heading.removesuffix(f" {self.metric.group}") if self.metric.group else self.heading

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the others."""
        return self.protocol, self.metric.name


@dataclass(frozen=True)
class TableDeclaration:
    """A table of published figures (`results/published/published.csv`) with our rows beside them."""

    name: str  # its name in published.csv and on the command line
    title: str
    # Left to right. A protocol without a version is none that a record can have: its figures are published ones only.
    columns: tuple[Column, ...]
    arguments: tuple[str, ...] = ()  # of the command, where the benchmark has several protocols
    data_folders: tuple[str, ...] = ()  # names of its data, where they are not all of the benchmark's
    epochs: bool = False  # whether it shows for how many epochs a model was pretrained
    costs: "Costs | None" = None  # of what `arguments` choose, where they are not the benchmark's

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols of its columns, each once."""
        return tuple(dict.fromkeys(column.protocol for column in self.columns))


@dataclass(frozen=True)
class Costs:
    """How long the evaluation of a ViT-S/16 takes at full size, in words: rough, to tell minutes from days."""

    gpu: str
    cpu: str
    gpu_gib: int = 0  # memory of one GPU at full size, an estimate; 0: any will do


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: how `python -m eval COMMAND` measures it and what its records hold."""

    key: str  # `benchmark` of its records
    command: str  # of `python -m eval`, and its folder in eval/
    title: str
    summary: str  # one line for --help
    protocols: tuple[ProtocolDeclaration, ...]
    item: str  # what is evaluated one by one, in the plural
    data_folders: tuple[str, ...]  # names that its data may have in a folder of several benchmarks
    costs: Costs
    recipes: str = ""  # pattern of the full-size recipes; empty where the protocol fixes everything
    needs: tuple[str, ...] = ()  # what it needs besides torch, timm and safetensors, as `results doctor` names it
    all_scored: bool = False  # whether no item can be without a score, so that an interval is over all of them
    verified: bool = True  # whether `python -m eval data verify COMMAND` knows the data
    tables: tuple[TableDeclaration, ...] = ()

    def __post_init__(self):
        """Hold that its tables print what its records hold, or else nothing measured would ever stand in them."""
        for column in (column for table in self.tables for column in table.columns):
            if "@" in column.protocol and column.metric not in self.metrics_of(column.protocol):
                raise ValueError(f"{self.key} does not declare the metric of column {column.key} of its table")

    def declaration_of(self, protocol: str) -> ProtocolDeclaration:
        """Return what is declared for a record's protocol.

        Raises:
            UserError: no protocol of this benchmark has that name.
        """
        for declared in self.protocols:
            if declared.covers(protocol):
                return declared
        known = [declared.pattern for declared in self.protocols]
        raise UserError(
            unknown_key(f"protocol {protocol!r}", protocol.partition("@")[0], known, f"protocol of {self.key}")
        )

    def metrics_of(self, protocol: str) -> tuple[MetricDeclaration, ...]:
        """Return the metrics that a record of this protocol may hold; UserError if there is no such protocol."""
        return self.declaration_of(protocol).metrics

    def headline_of(self, protocol: str) -> str:
        """Return the metric that ranks records of this protocol; UserError if there is no such protocol."""
        return self.declaration_of(protocol).headline


def columns_of(protocol: str, metrics: tuple[MetricDeclaration, ...]) -> tuple[Column, ...]:
    """Return columns of one protocol under the metrics' own headings."""
    return tuple(Column(protocol, metric) for metric in metrics)


def across(metric: MetricDeclaration, columns: Mapping[str, str]) -> tuple[Column, ...]:
    """Return columns of one metric by several protocols (protocol -> heading)."""
    return tuple(Column(protocol, metric, heading) for protocol, heading in columns.items())
