# What can be pretrained on one CPU core in minutes, and by which method? 5,060 photographs, 3 epochs, a ViT 128 wide with 4 blocks.
# --data holds photographs/, imagenet_mini/, camvid/, coco_mini/, davis2016/ (results/studies/small/README.md says what they are) and
# drawn/ (`python -m eval data synthesize segment DATA/drawn`), of which pictures are shown.
# Every method has two trials, its rate and twice that, chosen between on 6 clips of DAVIS 2016 train. Everything else was chosen on
# CamVid train, cut by sequence, before this study (flsl, flsl_place, dense), or is usual (the others: nothing was chosen for them).
# CamVid val, COCO's boxes and the other 10 clips have chosen nothing.
# Cost: 5 to 10 minutes of one core for each pretraining (iBOT 15), 15 for the tests of each model: 4.3 hours, and 3 for the second seed.
title = "What can a laptop-size pretraining learn, and by which method?"
baseline = "flsl"
methods = dict(
    flsl=dict(  # as published, but for what its size needs
        recipe="configs/pretrain/flsl_nano.py",
        set=[
            "mean_shift.teacher_from=query",
            "mean_shift.scale_sa=0.11",
            "mean_shift.scale_ca=0.22",
            "head.centroids=128",
        ],
        trials=[["optimizer.lr=8e-3"], ["optimizer.lr=1.6e-2"]],
    ),
    flsl_place=dict(recipe="configs/pretrain/flsl_nano.py", trials=[[], ["optimizer.lr=3.2e-2"]]),
    dense=dict(recipe="configs/pretrain/dense_nano.py", trials=[[], ["optimizer.lr=4.8e-2"]]),
)
size = [
    "encoder.architecture=vit_nano",
    "encoder.image_size=128",
    "views.global_size=128",
    "training.epochs=3",
    "runtime.workers=0",
]
rates = ["optimizer.warmup_fraction=0.34", "optimizer.weight_decay=0.04", "optimizer.weight_decay_end=0.04"]
methods |= {  # of whole images
    name: dict(
        recipe=f"configs/pretrain/{name}_small.py",
        set=[*size, *rates],
        trials=[["optimizer.lr=4e-3"], ["optimizer.lr=8e-3"]],
    )
    for name in ("simclr", "vicreg", "mocov3")
}
methods |= {  # of whole images, and iBOT of patches too, by centroids
    name: dict(
        recipe=f"configs/pretrain/{name}_small.py",
        set=[*size, *rates, "views.n_local=0", "head.hidden_dim=512", "training.batch_size=32"],
        trials=[["optimizer.lr=8e-3"], ["optimizer.lr=1.6e-2"]],
    )
    for name in ("dino", "ibot")
}
floors = dict(random="random:vit_nano/16", pixels="pixels/16")
seeds = [0, 1]
pretraining = ["photographs", "imagenet_mini"]
chosen_on = "bmx-bumps mallard-fly motocross-bumps paragliding rollerblade surf"
reported = "boat car-turn dance-jump dog-agility drift-turn kite-walk lucia motorbike soccerball tennis"
selection = [dict(benchmark="davis", data="davis2016", options=dict(split="train", videos=chosen_on.split()))]
tests = [
    dict(benchmark="segment", data="camvid", options=dict(protocol="in-context-hbird_102k")),
    dict(benchmark="knn", data="coco_mini"),
    dict(benchmark="davis", data="davis2016", options=dict(split="train", videos=reported.split())),
    dict(benchmark="segment", data="camvid", options=dict(protocol="linear-leopart")),
]
pictures = ["drawn/images/val/000000.jpg"]
del size, rates, chosen_on, reported
