"""The tables of published figures: those of the benchmarks, and those that no adapter here measures yet.

Rows are in results/published/published.csv, in order.
"""

from flsl.runtime.errors import UserError, unknown_key
from results.benchmarks import BENCHMARKS
from results.declaration import Benchmark, MetricDeclaration, TableDeclaration, columns_of

# Tables of published figures that no adapter here measures; a protocol without a version is none that a record can have.
WITHOUT_ADAPTER = (
    TableDeclaration(
        name="knn",
        title="ImageNet-1k classification with frozen features",
        columns=columns_of(
            "imagenet/knn+linear@1",
            (MetricDeclaration("knn_top1", "k-NN top-1"), MetricDeclaration("linear_top1", "linear top-1")),
        ),
    ),
)
TABLES = {
    table.name: table for table in (*(table for b in BENCHMARKS.values() for table in b.tables), *WITHOUT_ADAPTER)
}


def table_names(name: str) -> list[str]:
    """Return the table's name, or every one for `all`. Raises UserError naming the nearest one."""
    if name not in (*TABLES, "all"):
        raise UserError(unknown_key(repr(name), name, (*TABLES, "all"), "table"))
    return list(TABLES) if name == "all" else [name]


def adapter_of(table: str) -> Benchmark | None:
    """Return the benchmark whose records stand in a table; None if this project measures none."""
    return next((benchmark for benchmark in BENCHMARKS.values() if TABLES[table] in benchmark.tables), None)
