title = "What can a laptop-size pretraining learn, and by which method?"
baseline = "flsl"
methods = dict(
    flsl=dict(
        recipe="configs/pretrain/flsl_nano.py",
        set=["mean_shift.teacher_from=query", "mean_shift.scale_sa=0.11", "mean_shift.scale_ca=0.22", "head.centroids=128", "optimizer.lr=8e-3"],
    ),
    flsl_place=dict(recipe="configs/pretrain/flsl_nano.py"),
    dense=dict(recipe="configs/pretrain/dense_nano.py"),
)
floors = dict(random="random:vit_nano/16", pixels="pixels/16")
seeds = [0]
pretraining = ["photographs", "imagenet_mini"]
tests = [
    dict(benchmark="segment", data="camvid", options=dict(protocol="in-context-hbird_102k")),
    dict(benchmark="knn", data="coco_mini"),
    dict(benchmark="davis", data="davis2016", options=dict(split="train", videos=["boat", "car-turn", "dance-jump", "dog-agility", "drift-turn", "kite-walk", "lucia", "motorbike", "soccerball", "tennis"])),
]
