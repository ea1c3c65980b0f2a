# Does more time help? The two methods of small.py that know a token's place in the other view, four times as long: 12 epochs of
# 5,060 photographs.
# --data holds what small.py needs. Rates are those that small.py chose; nothing else was chosen, and the tests are its tests.
# Cost: 25 to 33 minutes of one core for each pretraining, 8 for the tests of each model: 1.6 hours.
title = "What does a laptop-size pretraining gain by more time?"
baseline = "flsl_place"
methods = dict(
    flsl_place=dict(recipe="configs/pretrain/flsl_nano.py", set=["training.epochs=12", "probe.epochs=2"]),
    dense=dict(
        recipe="configs/pretrain/dense_nano.py",
        set=["training.epochs=12", "probe.epochs=2", "optimizer.lr=4.8e-2"],
    ),
)
floors = dict(random="random:vit_nano/16", pixels="pixels/16")
seeds = [0]
pretraining = ["photographs", "imagenet_mini"]
reported = "boat car-turn dance-jump dog-agility drift-turn kite-walk lucia motorbike soccerball tennis"
tests = [
    dict(benchmark="segment", data="camvid", options=dict(protocol="in-context-hbird_102k")),
    dict(benchmark="knn", data="coco_mini"),
    dict(benchmark="davis", data="davis2016", options=dict(split="train", videos=reported.split())),
]
pictures = ["drawn/images/val/000000.jpg"]
del reported
