# What can be pretrained on one CPU core in minutes, and by which method? 5,060 photographs, 3 epochs, a ViT 128 wide with 4 blocks.
# --data holds photographs/, imagenet_mini/, camvid/, coco_mini/ and davis2016/ (results/studies/small/README.md says what they are).
# Settings were chosen on CamVid train, cut by sequence, before this study, and none in it: CamVid val, COCO's boxes and the 10
# clips of DAVIS 2016 train have chosen nothing. The other 6 clips are left to choose by.
# Cost: 6 minutes of one core for each pretraining, 5 for the tests of each model; 1.5 hours for one seed.
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
            "optimizer.lr=8e-3",
        ],
    ),
    flsl_place=dict(recipe="configs/pretrain/flsl_nano.py"),
    dense=dict(recipe="configs/pretrain/dense_nano.py"),
)
size = [
    "encoder.architecture=vit_nano",
    "encoder.image_size=128",
    "views.global_size=128",
    "training.epochs=3",
    "runtime.workers=0",
]
rates = ["optimizer.warmup_fraction=0.34", "optimizer.weight_decay=0.04", "optimizer.weight_decay_end=0.04"]
methods |= dict(  # methods of whole images, at usual rates for their batches: nothing was chosen for them
    simclr=dict(recipe="configs/pretrain/simclr_small.py", set=[*size, *rates, "optimizer.lr=4e-3"]),
    dino=dict(
        recipe="configs/pretrain/dino_small.py",
        set=[*size, *rates, "views.n_local=0", "head.hidden_dim=512", "training.batch_size=32", "optimizer.lr=8e-3"],
    ),
)
floors = dict(random="random:vit_nano/16", pixels="pixels/16")
seeds = [0]
pretraining = ["photographs", "imagenet_mini"]
clips = "boat car-turn dance-jump dog-agility drift-turn kite-walk lucia motorbike soccerball tennis"
tests = [
    dict(benchmark="segment", data="camvid", options=dict(protocol="in-context-hbird_102k")),
    dict(benchmark="knn", data="coco_mini"),
    dict(benchmark="davis", data="davis2016", options=dict(split="train", videos=clips.split())),
]
del clips, size, rates
