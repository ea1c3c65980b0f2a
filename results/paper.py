"""The paper's tables: which protocol and columns each has. Rows are in results/published/published.csv, in order."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperTable:
    """One table. `columns` maps metrics to headings, in the table's order; the first is the one that is compared."""

    title: str
    benchmarks: tuple[str, ...]  # records of these, by whatever protocol and data, are listed with the table
    protocol: str  # records of this one, on the official data, stand beside the published rows
    columns: Mapping[str, str]
    epochs: bool = False  # whether the table has a column of pretraining epochs


TABLES = {
    "coco": PaperTable(
        title="Mask R-CNN on COCO 2017 val, 1x schedule",
        benchmarks=("coco",),
        protocol="coco/mask-rcnn_1x@1",
        columns={
            "box_AP": "AP box",
            "box_AP50": "AP50 box",
            "box_AP75": "AP75 box",
            "mask_AP": "AP mask",
            "mask_AP50": "AP50 mask",
            "mask_AP75": "AP75 mask",
        },
        epochs=True,
    ),
    "uavdt": PaperTable(
        title="Vehicle detection on UAVDT test, the benchmark's own metric",
        benchmarks=("uavdt",),
        protocol="uavdt/official@1",
        columns={"AP": "AP"},
    ),
    "davis": PaperTable(
        title="Video object segmentation on DAVIS 2017 val by label propagation",
        benchmarks=("davis2017",),
        protocol="davis2017/dino@1",
        columns={"J&F": "J&F", "J": "J", "F": "F"},
    ),
    "knn": PaperTable(
        title="ImageNet-1k classification with frozen features",
        benchmarks=("imagenet", "knn"),
        protocol="imagenet/knn+linear@1",
        columns={"knn_top1": "k-NN top-1", "linear_top1": "linear top-1"},
    ),
    "ablations": PaperTable(
        title="Number of centroids K, by k-NN on patch tokens in boxes",
        benchmarks=("knn",),
        protocol="knn/bbox@1",
        columns={"top1": "top-1"},
    ),
}
