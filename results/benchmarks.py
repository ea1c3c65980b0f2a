"""Every benchmark, declared once: what its records hold, how it is run, and which table shows it. Imports nothing heavy.

The list of `eval` commands, the leaderboard's columns, the tables, the checks of a record and what `results reproduce`
runs all follow from here. To add a benchmark, make the folder `eval/COMMAND/` and add one `Benchmark` to the list below.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flsl.runtime.errors import UserError, unknown_key
from results.declaration import (
    Benchmark,
    Column,
    Costs,
    MetricDeclaration,
    ProtocolDeclaration,
    TableDeclaration,
    across,
    columns_of,
)

if TYPE_CHECKING:
    from results.record import Interval, Metric

# What fine-tuning and running an OpenMMLab detector takes, besides what every adapter needs.
DETECTOR = ("torchvision", "opencv", "mmengine", "mmcv", "mmdet")


def _detail(name: str, heading: str, **fields) -> MetricDeclaration:
    return MetricDeclaration(name, heading, column=False, **fields)


J_AND_F = tuple(MetricDeclaration(name, name) for name in ("J&F", "J", "F"))
DAVIS_METRICS = (
    *J_AND_F,
    *(_detail(f"{name}_recall", f"{name} recall") for name in "JF"),
    *(_detail(f"{name}_decay", f"{name} decay", unit="percentage points", higher_is_better=False) for name in "JF"),
)

AVERAGE_PRECISIONS = ("AP", "AP50", "AP75")
BY_SIZE = ("APs", "APm", "APl")
RECALLS = ("AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
COCO_COLUMNS = tuple(
    MetricDeclaration(f"{kind}_{name}", f"{name} {kind}", group=kind)
    for kind in ("box", "mask")
    for name in AVERAGE_PRECISIONS
)
COCO_METRICS = (
    *COCO_COLUMNS,
    *(_detail(f"{kind}_{name}", f"{name} {kind}") for kind in ("box", "mask") for name in (*BY_SIZE, *RECALLS)),
)

UAVDT_OFFICIAL_METRICS = (MetricDeclaration("AP", "AP"),)
UAVDT_COCO_METRICS = (
    *(MetricDeclaration(name, name) for name in AVERAGE_PRECISIONS),
    *(_detail(name, name) for name in BY_SIZE),
)

KNN_METRICS = tuple(
    _detail(f"{name}_k{k}", f"{heading}, k = {k}")
    for name, heading in (("vote", "vote"), ("any_of_9", "any of 9"))
    for k in (10, 20, 100, 200)
)

CORLOC = _detail("CorLoc", "CorLoc")

# The share of joints nearer to their true place than so much of the person's size.
PCK = (
    *(MetricDeclaration(f"PCK@{share}", f"PCK@{share}") for share in (0.1, 0.2)),
    *(_detail(f"PCK@{share}", f"PCK@{share}") for share in (0.3, 0.4, 0.5)),
)

# J and F over the objects of categories that are seen in training, and over the others; G is the mean of these four.
YTVOS_METRICS = (
    _detail("G", "G"),
    *(_detail(f"{name}_{seen}", f"{name} {seen}") for seen in ("seen", "unseen") for name in "JF"),
)

MIOU = MetricDeclaration("mIoU", "mIoU")
# As the public tool prints it: predicted classes are matched to the true ones first, one to one.
MIOU_MATCHED = MetricDeclaration("mIoU_matched", "mIoU, matched", column=False)
# Overclustering: the mean over seeds of k-means, and how far they lie apart (standard deviation).
CLUSTER_METRICS = {
    clusters: (
        MetricDeclaration(f"mIoU_K{clusters}", f"mIoU, K = {clusters}", column=clusters == 500),
        _detail(f"mIoU_K{clusters}_spread", "spread", unit="percentage points", higher_is_better=False),
    )
    for clusters in (500, 300, 21)
}

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.key: benchmark
    for benchmark in (
        Benchmark(
            key="davis2017",
            command="davis",
            title="DAVIS 2017",
            summary="DAVIS 2017 (and 2016) video object segmentation by label propagation (frozen features, no training)",
            protocols=tuple(ProtocolDeclaration(f"davis{year}/*", "J&F", DAVIS_METRICS) for year in (2017, 2016)),
            item="sequences",
            all_scored=True,
            data_folders=("davis2017", "DAVIS", "davis"),
            costs=Costs(gpu="minutes", cpu="an hour or more"),
            needs=("opencv",),
            tables=(
                TableDeclaration(
                    name="davis",
                    title="Video object segmentation on DAVIS 2017 val by label propagation",
                    columns=columns_of("davis2017/dino@1", J_AND_F),
                ),
                TableDeclaration(
                    name="video",
                    title="Video object segmentation on DAVIS 2017 val by other protocols",
                    columns=across(
                        J_AND_F[0], {"davis2017/cropmae@1": "J&F (CropMAE)", "davis2017/dinov3": "J&F (DINOv3)"}
                    ),
                    arguments=("--protocol", "cropmae"),
                ),
            ),
        ),
        Benchmark(
            key="coco",
            command="coco",
            title="COCO 2017",
            summary="COCO detection and instance segmentation: fine-tunes Mask R-CNN, then evaluates it",
            protocols=(ProtocolDeclaration("coco/*", "box_AP", COCO_METRICS),),
            item="images",
            data_folders=("coco", "coco2017", "COCO"),
            recipes="configs/coco/*vit-{size}_*1x.py",
            # Mask R-CNN on ViT-S/16, 2 images of 800x1333 pixels per GPU, mixed precision.
            costs=Costs(gpu="a day on 8 GPUs", cpu="months", gpu_gib=16),
            needs=DETECTOR,
            tables=(
                TableDeclaration(
                    name="coco",
                    title="Mask R-CNN on COCO 2017 val, 1x schedule",
                    columns=columns_of("coco/mask-rcnn_1x@1", COCO_COLUMNS),
                    epochs=True,
                ),
            ),
        ),
        Benchmark(
            key="uavdt",
            command="uavdt",
            title="UAVDT",
            summary="UAVDT vehicle detection: fine-tunes Faster R-CNN, then evaluates it by both protocols",
            protocols=(
                ProtocolDeclaration("uavdt/official", "AP", UAVDT_OFFICIAL_METRICS),
                ProtocolDeclaration("uavdt/coco", "AP", UAVDT_COCO_METRICS),
            ),
            item="images",
            data_folders=("uavdt", "UAVDT"),
            recipes="configs/uavdt/*vit-{size}_*1x.py",
            costs=Costs(gpu="hours on 8 GPUs", cpu="weeks", gpu_gib=16),
            needs=DETECTOR,
            tables=(
                TableDeclaration(
                    name="uavdt",
                    title="Vehicle detection on UAVDT test, the benchmark's own metric",
                    columns=columns_of("uavdt/official@1", UAVDT_OFFICIAL_METRICS),
                ),
            ),
        ),
        Benchmark(
            key="knn",
            command="knn",
            title="k-NN in boxes",
            summary="classification of tokens inside boxes by their nearest neighbors (frozen features, no training)",
            protocols=tuple(ProtocolDeclaration(f"knn/{what}", "vote_k20", KNN_METRICS) for what in ("bbox", "image")),
            item="images",
            all_scored=True,
            data_folders=("imagenet", "ImageNet", "ILSVRC2012"),
            costs=Costs(gpu="an hour", cpu="days"),
            verified=False,
            tables=(
                TableDeclaration(
                    name="ablations",
                    title="Number of centroids K, by k-NN on patch tokens in boxes",
                    columns=columns_of("knn/bbox@1", KNN_METRICS),
                ),
            ),
        ),
        Benchmark(
            key="segmentation",
            command="segment",
            title="Segmentation",
            summary="semantic segmentation, with frozen features in context, by linear heads or clusters, or fine-tuned",
            protocols=(
                ProtocolDeclaration("*/in-context-hbird*", "mIoU", (MIOU, MIOU_MATCHED)),
                ProtocolDeclaration("*/linear-*", "mIoU", (MIOU,)),
                ProtocolDeclaration("*/overclustering-leopart", "mIoU_K500", CLUSTER_METRICS[500]),
                ProtocolDeclaration("*/overclustering-leopart_k300", "mIoU_K300", CLUSTER_METRICS[300]),
                ProtocolDeclaration("*/overclustering-leopart_k21", "mIoU_K21", CLUSTER_METRICS[21]),
                ProtocolDeclaration("*/semantic-fpn_*", "mIoU", (MIOU,)),
                ProtocolDeclaration("*/upernet_*", "mIoU", (MIOU,)),
            ),
            item="images",
            all_scored=True,
            data_folders=("voc2012", "VOC2012", "VOCdevkit", "ade20k", "ADEChallengeData2016"),
            # In context on VOC 2012; the linear heads and the fine-tuned protocols take hours to a day on one GPU.
            costs=Costs(gpu="half an hour", cpu="a day"),
            tables=(
                TableDeclaration(
                    name="segmentation",
                    title="Semantic segmentation on Pascal VOC 2012, mIoU",
                    columns=(
                        Column("voc2012/in-context-hbird@1", MIOU_MATCHED, "in context (Hummingbird), matched"),
                        *across(
                            MIOU,
                            {
                                "voc2012/in-context-neco": "in context (NeCo)",
                                "voc2012/in-context-cribo": "in context (CrIBo)",
                                "voc2012/linear-leopart@1": "linear (Leopart)",
                            },
                        ),
                        Column(
                            "voc2012/overclustering-leopart@1",
                            CLUSTER_METRICS[500][0],
                            "overclustering, K = 500 (Leopart)",
                        ),
                    ),
                    arguments=("--protocol", "in-context-hbird"),
                    data_folders=("voc2012", "VOC2012", "VOCdevkit"),
                    epochs=True,
                ),
                TableDeclaration(
                    name="ade20k",
                    title="Semantic segmentation on ADE20K, mIoU",
                    columns=across(
                        MIOU,
                        {
                            "ade20k/semantic-fpn_40k@1": "Semantic FPN, 40k steps",
                            "ade20k/upernet_160k@1": "UPerNet, 160k steps",
                            "ade20k/linear-dinov3@1": "linear (DINOv3)",
                            "ade20k/in-context-cribo": "in context (CrIBo)",
                        },
                    ),
                    arguments=("--protocol", "semantic-fpn_40k"),
                    costs=Costs(gpu="a day", cpu="months"),
                    data_folders=("ade20k", "ADEChallengeData2016"),
                    epochs=True,
                ),
            ),
        ),
        Benchmark(
            key="vip",
            command="vip",
            title="VIP",
            summary="VIP: parts of persons in videos, by label propagation (frozen features, no training)",
            protocols=(ProtocolDeclaration("vip/*", "mIoU", (MIOU,)),),
            item="videos",
            data_folders=("vip", "VIP", "VIP_Fine"),
            costs=Costs(gpu="minutes", cpu="hours"),
            needs=("opencv",),
            tables=(
                TableDeclaration(
                    name="vip",
                    title="Parts of persons on VIP val by label propagation, mIoU",
                    columns=across(MIOU, {"vip/cropmae@1": "mIoU (CropMAE)"}),
                ),
            ),
        ),
        Benchmark(
            key="jhmdb",
            command="jhmdb",
            title="JHMDB",
            summary="JHMDB: joints of persons in videos, by label propagation (frozen features, no training)",
            protocols=(ProtocolDeclaration("jhmdb/*", "PCK@0.1", PCK),),
            item="clips",
            data_folders=("jhmdb", "JHMDB"),
            costs=Costs(gpu="minutes", cpu="an hour"),
            needs=("opencv",),
            tables=(
                TableDeclaration(
                    name="jhmdb",
                    title="Joints of persons on JHMDB test by label propagation, PCK",
                    columns=columns_of("jhmdb/cropmae@1", PCK[:2]),
                ),
            ),
        ),
        Benchmark(
            key="ytvos2018",
            command="ytvos",
            title="YouTube-VOS 2018",
            summary="YouTube-VOS 2018 video object segmentation by label propagation: masks for its server, or scores",
            protocols=(ProtocolDeclaration("ytvos2018/*", "G", YTVOS_METRICS),),
            item="videos",
            data_folders=("ytvos", "ytvos2018", "YouTube", "YouTubeVOS"),
            # The 474 videos of valid/, every fifth frame.
            costs=Costs(gpu="an hour", cpu="a day"),
            needs=("opencv",),
        ),
        Benchmark(
            key="discovery",
            command="discovery",
            title="Object discovery",
            summary="the main object of a picture, found by LOST or TokenCut in the last keys (frozen features, no training)",
            protocols=(ProtocolDeclaration("*/*", "CorLoc", (CORLOC,)),),
            item="images",
            data_folders=("voc2007", "VOC2007", "VOCdevkit/VOC2007"),
            # LOST on VOC 2007.
            costs=Costs(gpu="minutes", cpu="half an hour"),
            tables=(
                TableDeclaration(
                    name="discovery",
                    title="Object discovery in single images, CorLoc",
                    columns=across(
                        CORLOC,
                        {
                            f"{data}/{method.lower()}@1": f"{title}, {method}"
                            for data, title in (
                                ("voc2007", "VOC 2007"),
                                ("voc2012", "VOC 2012"),
                                ("coco20k", "COCO 20k"),
                            )
                            for method in ("LOST", "TokenCut")
                        },
                    ),
                    arguments=("--protocol", "lost"),
                ),
            ),
        ),
    )
}

# The leaderboard's columns: one of a name, whichever benchmarks share it.
METRIC_COLUMNS = tuple(
    dict.fromkeys(m.name for b in BENCHMARKS.values() for p in b.protocols for m in p.metrics if m.column)
)


def measured(
    benchmark: str | Benchmark,
    protocol: str,
    values: Mapping[str, float | None],
    intervals: "Mapping[str, Interval | None]" = {},  # noqa: B006 - read only
) -> "dict[str, Metric]":
    """Return a record's metrics from plain values; unit and direction come from the declaration.

    Args:
        benchmark: key or command, or the declaration.
        protocol: of the record, e.g. `uavdt/official@1`.
        values: name -> number in the metric's unit; None where the data hold nothing to measure it on.
        intervals: name -> confidence interval, for those that have one.

    Raises:
        UserError: a name is not declared for the protocol (the nearest one is named), or the benchmark is not.
    """
    from results.record import Metric  # pydantic is not needed to know what there is

    benchmark = benchmark if isinstance(benchmark, Benchmark) else find_benchmark(benchmark)
    known = {metric.name: metric for metric in benchmark.metrics_of(protocol)}
    for name in [*values, *intervals]:
        if name not in known:
            raise UserError(unknown_key(repr(name), name, known, f"metric of {protocol}"))
    return {
        name: Metric(value, known[name].unit, known[name].higher_is_better, intervals.get(name))
        for name, value in values.items()
    }


def find_benchmark(name: str) -> Benchmark:
    """Return a benchmark by its key or command. Raises UserError naming the nearest one."""
    for benchmark in BENCHMARKS.values():
        if name in (benchmark.key, benchmark.command):
            return benchmark
    known = {name for benchmark in BENCHMARKS.values() for name in (benchmark.key, benchmark.command)}
    raise UserError(unknown_key(repr(name), name, known, "benchmark"))
