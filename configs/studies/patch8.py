# Is what a laptop learns in minutes visible on every frozen benchmark? Dense contrast with patches of 8, 30,016 images seen.
# --data holds what small.py needs, and caltech/, which `python -m eval data prepare images DATA/photographs --out DATA/caltech` makes: every
# fifth photograph of a class is held out from pretraining and classified. Color jitter, rate, views and epochs were chosen on the 6 clips
# on which small.py chooses (beside this study); the tests have chosen nothing.
# Cost: 5 to 15 minutes of one core for the pretraining, with and without bfloat16 units, and 80 for the tests of a network: 3 hours.
title = "Is what a laptop learns in minutes visible on every frozen benchmark?"
baseline = "dense"
methods = dict(
    dense=dict(
        recipe="configs/pretrain/dense_nano8.py",
        set=["encoder.image_size=64", "views.global_size=64", "views.local_size=48", "training.epochs=7"],
    ),
)
floors = dict(random="random:vit_nano/8", pixels="pixels/8")
seeds = [0]
pretraining = ["caltech", "imagenet_mini"]
reported = "boat car-turn dance-jump dog-agility drift-turn kite-walk lucia motorbike soccerball tennis"
tests = [
    dict(benchmark="davis", data="davis2016", options=dict(split="train", videos=reported.split())),
    dict(benchmark="segment", data="camvid", options=dict(protocol="in-context-hbird_102k")),
    dict(benchmark="segment", data="camvid", options=dict(protocol="linear-leopart")),
    dict(benchmark="knn", data="caltech"),
    dict(benchmark="knn", data="coco_mini"),
]
pictures = ["drawn/images/val/000000.jpg"]
del reported
