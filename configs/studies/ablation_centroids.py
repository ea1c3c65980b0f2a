# How many centroids K? The paper's ablation at ViT-S/16 on ImageNet-1k: one recipe, K alone changed, classification of tokens
# in boxes by their nearest neighbors. `python -m results table ablations --records OUT/eval` puts the results into the table.
# --data holds imagenet/ (train/, val/ and the official box files under Annotations/CLS-LOC, which come with the images).
# Cost: 5 pretrainings of 100 epochs, 1.2 days on 8 GPUs each by the published rate; cut training.epochs to try it.
title = "FLSL: the number of centroids K"
baseline = "K4096"
methods = {
    f"K{centroids}": dict(
        recipe="configs/pretrain/flsl_vit-s16_in1k_300e.py",
        set=[f"head.centroids={centroids}", "training.epochs=100"],
    )
    for centroids in (1024, 2048, 4096, 8192, 16384)
}
floors = dict(random="random:vit_small/16")
pretraining = ["imagenet"]
tests = [dict(benchmark="knn", data="imagenet")]
