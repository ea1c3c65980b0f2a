"""The tables of published figures: those of the benchmarks, and those that no adapter here measures yet.

Rows are in results/published/published.csv, in order.
"""

from flsl.runtime.errors import UserError, unknown_key
from results.benchmarks import BENCHMARKS
from results.declaration import Benchmark, Column, MetricDeclaration, TableDeclaration, columns_of


def _across(metric: MetricDeclaration, columns: dict[str, str]) -> tuple[Column, ...]:
    """Return columns of one metric by several protocols (protocol -> heading)."""
    return tuple(Column(protocol, metric, heading) for protocol, heading in columns.items())


MIOU = MetricDeclaration("mIoU", "mIoU")
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
    TableDeclaration(
        name="ade20k",
        title="Semantic segmentation on ADE20K, mIoU",
        columns=_across(
            MIOU,
            {
                "ade20k/semantic-fpn_40k": "Semantic FPN, 40k steps",
                "ade20k/upernet_160k": "UPerNet, 160k steps",
                "ade20k/linear-dinov3": "linear (DINOv3)",
                "ade20k/in-context-cribo": "in context (CrIBo)",
            },
        ),
        epochs=True,
    ),
    TableDeclaration(
        name="segmentation",
        title="Semantic segmentation on Pascal VOC 2012, mIoU",
        columns=(
            *_across(
                MIOU,
                {
                    "voc2012/in-context-hbird": "in context (Hummingbird)",
                    "voc2012/in-context-neco": "in context (NeCo)",
                    "voc2012/in-context-cribo": "in context (CrIBo)",
                    "voc2012/linear-leopart": "linear (Leopart)",
                },
            ),
            Column(
                "voc2012/overclustering-leopart",
                MetricDeclaration("mIoU_K500", "mIoU, K = 500"),
                "overclustering, K = 500 (Leopart)",
            ),
        ),
        epochs=True,
    ),
    TableDeclaration(
        name="discovery",
        title="Object discovery in single images, CorLoc",
        columns=_across(
            MetricDeclaration("CorLoc", "CorLoc"),
            {"voc2007/corloc": "VOC 2007", "voc2012/corloc": "VOC 2012", "coco20k/corloc": "COCO 20k"},
        ),
    ),
    TableDeclaration(
        name="video",
        title="Label propagation in videos by other protocols",
        columns=(
            *_across(
                MetricDeclaration("J&F", "J&F"),
                {"davis2017/cropmae": "DAVIS 2017 J&F (CropMAE)", "davis2017/dinov3": "DAVIS 2017 J&F (DINOv3)"},
            ),
            Column("vip/cropmae", MIOU, "VIP mIoU"),
            Column("jhmdb/cropmae", MetricDeclaration("PCK@0.1", "PCK@0.1"), "JHMDB PCK@0.1"),
        ),
    ),
)
TABLES = {table.name: table for table in (*filter(None, (b.table for b in BENCHMARKS.values())), *WITHOUT_ADAPTER)}


def table_names(name: str) -> list[str]:
    """Return the table's name, or every one for `all`. Raises UserError naming the nearest one."""
    if name not in (*TABLES, "all"):
        raise UserError(unknown_key(repr(name), name, (*TABLES, "all"), "table"))
    return list(TABLES) if name == "all" else [name]


def adapter_of(table: str) -> Benchmark | None:
    """Return the benchmark whose records stand in a table; None if this project measures none."""
    return next((benchmark for benchmark in BENCHMARKS.values() if benchmark.table is TABLES[table]), None)
