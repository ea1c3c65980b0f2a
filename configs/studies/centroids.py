# How many centroids K at laptop size? ablation_centroids.py with flsl_nano.py: one recipe, K alone changed, nothing chosen.
# --data holds imagenet_mini/, camvid/, caltech/ (results/studies/patch8/README.md says how it is made) and drawn/, of which a picture is shown.
# Cost: 2 to 6 minutes of one core for each of 8 pretrainings, 2 for the tests of each: half an hour to an hour.
title = "FLSL at laptop size: the number of centroids K"
baseline = "K2048"
methods = {
    f"K{centroids}": dict(recipe="configs/pretrain/flsl_nano.py", set=[f"head.centroids={centroids}"])
    for centroids in (128, 512, 2048, 8192)
}
floors = dict(random="random:vit_nano/16", pixels="pixels/16")
seeds = [0, 1]
pretraining = ["caltech", "imagenet_mini"]
tests = [
    dict(benchmark="knn", data="caltech"),
    dict(benchmark="segment", data="camvid", options=dict(protocol="in-context-hbird_102k")),
]
pictures = ["drawn/images/val/000000.jpg"]
