# The question of small.py at ViT-S/16 and 224 pixels, on one GPU: ten minutes or so for each pretraining at 1,600 images per second.
# --data as for small.py. 5,060 photographs, 200 epochs in batches of 256: 972,800 images seen. Two learning rates for each method,
# chosen on 6 clips of DAVIS 2016 train; the other 10 are reported. Not run yet: `--plan` says what it takes on a machine.
title = "What can ten minutes on a GPU learn, and by which method?"
baseline = "flsl"
common = [
    "encoder.architecture=vit_small",
    "encoder.image_size=224",
    "views.global_size=224",
    "views.n_local=2",
    "views.teacher_scale=(0.8, 1.0)",
    "views.global_scale=(0.5, 1.0)",
    "views.local_scale=(0.05, 0.4)",
    "optimizer.warmup_fraction=0.1",
    "optimizer.ema_momentum=0.996",
    "optimizer.ema_momentum_end=1.0",
    "training.epochs=200",
    "training.batch_size=256",
    "runtime.workers=16",
]
trials = [["optimizer.lr=5e-4"], ["optimizer.lr=1.5e-3"]]
scales = ["mean_shift.scale_sa=0.128", "mean_shift.scale_ca=0.256"]  # 25 times 0.1 and 0.2 over the root of the width
methods = dict(
    flsl=dict(
        recipe="configs/pretrain/flsl_nano.py",
        set=[*common, *scales, "mean_shift.teacher_from=query", "head.hidden_dim=2048", "head.bottleneck_dim=256"],
        trials=trials,
    ),
    flsl_place=dict(
        recipe="configs/pretrain/flsl_nano.py",
        set=[*common, *scales, "head.hidden_dim=2048", "head.bottleneck_dim=256"],
        trials=trials,
    ),
    dense=dict(
        recipe="configs/pretrain/dense_nano.py",
        set=[*common, "sampling.window_global=3", "sampling.window_local=2"],
        trials=trials,
    ),
)
image = [  # of whole images: two views, or DINO's two and two small ones
    "encoder.architecture=vit_small",
    "views.global_size=224",
    "optimizer.warmup_fraction=0.1",
    "training.epochs=200",
    "training.batch_size=256",
    "runtime.workers=16",
]
sizes = dict(
    simclr=["simclr.hidden_dim=2048"],
    vicreg=["vicreg.hidden_dim=2048", "vicreg.out_dim=2048"],
    mocov3=["mocov3.hidden_dim=2048", "mocov3.out_dim=256", "optimizer.ema_momentum=0.996"],
    dino=[
        "head.hidden_dim=2048",
        "head.centroids=4096",
        "optimizer.ema_momentum=0.996",
        "temperature.warmup_epochs=20",
    ],
)
methods |= {
    name: dict(recipe=f"configs/pretrain/{name}_small.py", set=[*image, *own], trials=trials)
    for name, own in sizes.items()
}
floors = dict(random="random:vit_small/16", pixels="pixels/16")
seeds = [0, 1, 2]
pretraining = ["photographs", "imagenet_mini"]
chosen_on = "bmx-bumps mallard-fly motocross-bumps paragliding rollerblade surf"
reported = "boat car-turn dance-jump dog-agility drift-turn kite-walk lucia motorbike soccerball tennis"
selection = [dict(benchmark="davis", data="davis2016", options=dict(split="train", videos=chosen_on.split()))]
tests = [
    dict(benchmark="segment", data="camvid", options=dict(protocol="in-context-hbird")),
    dict(benchmark="segment", data="camvid", options=dict(protocol="linear-leopart")),
    dict(benchmark="knn", data="coco_mini"),
    dict(benchmark="davis", data="davis2016", options=dict(split="train", videos=reported.split())),
]
del common, trials, scales, image, sizes, chosen_on, reported
