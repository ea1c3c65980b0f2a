# What do patches of 8 give? Dense contrast of small.py with patches of 8, 12 epochs of 5,060 photographs.
# --data holds what small.py needs. Color jitter and rate were chosen on the 6 clips on which small.py chooses (with 4 epochs, beside
# this study); the tests have chosen nothing.
# Cost: 35 to 90 minutes of one core for the pretraining, with and without bfloat16 units, 20 for the tests of each model: 2 hours.
title = "Is a laptop-size pretraining ahead of color and place, with patches of 8?"
baseline = "dense"
methods = dict(dense=dict(recipe="configs/pretrain/dense_nano8.py"))
floors = dict(random="random:vit_nano/8", pixels="pixels/8")
seeds = [0]
pretraining = ["photographs", "imagenet_mini"]
reported = "boat car-turn dance-jump dog-agility drift-turn kite-walk lucia motorbike soccerball tennis"
tests = [
    dict(benchmark="davis", data="davis2016", options=dict(split="train", videos=reported.split())),
    dict(benchmark="segment", data="camvid", options=dict(protocol="in-context-hbird_102k")),
    dict(benchmark="knn", data="coco_mini"),
]
pictures = ["drawn/images/val/000000.jpg"]
del reported
