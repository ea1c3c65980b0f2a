"""From an encoder and images with boxes to predictions and a record."""

import argparse
import dataclasses

import numpy as np
import torch

from eval.knn.data import BoxData, read_box_data
from eval.knn.features import BoxFeatures, extract
from eval.knn.protocol import BBOX, Protocol
from eval.knn.vote import classify
from eval.run import Stopwatch, finish_record
from flsl.checkpoint import load_encoder
from flsl.runtime.device import choose_device
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic
from results.bootstrap import percentile_interval
from results.record import Dataset, Metric

PREDICTIONS = "predictions.npz"


def classify_and_score(arguments: argparse.Namespace) -> None:
    """Encode both splits, classify the val split, save the predictions and score them.

    Raises:
        UserError: data or checkpoint cannot be used, or no image has a box inside the crop.
    """
    watch = Stopwatch()
    with watch.phase("reading"):
        data = read_box_data(arguments.data)
    device = choose_device(arguments.device)
    loaded = load_encoder(arguments.checkpoint, device, seed=arguments.seed)
    with watch.phase("features"):
        todo = data.val[: arguments.limit]
        train = extract(loaded.encoder, data.train, BBOX, device, arguments.batch_size, "train")
        val = extract(loaded.encoder, todo, BBOX, device, arguments.batch_size, "val")
    warnings = list(loaded.warnings)
    for split, examples, found in (("train", data.train, train), ("val", todo, val)):
        if not found.classes:
            raise UserError(f"no image of the {split} split in {arguments.data} has a box inside the middle crop.")
        if len(found.classes) < len(examples):
            left = len(examples) - len(found.classes)
            warnings.append(f"{left} of {len(examples)} {split} images have no box inside the middle crop: left out")
    neighbors = tuple(min(k, len(train.classes) * BBOX.tokens) for k in BBOX.neighbors)
    if neighbors != BBOX.neighbors:
        warnings.append(f"the bank has only {neighbors[-1]} tokens: larger numbers of neighbors are cut to it")
    names = sorted({*train.classes, *val.classes})
    unknown = sorted(set(val.classes) - set(train.classes))
    if unknown:
        warnings.append(f"classes without a training image, always wrong: {', '.join(unknown[:10])}")
    number = {name: index for index, name in enumerate(names)}
    with watch.phase("neighbors"):
        labels = torch.tensor([number[name] for name in train.classes]).repeat_interleave(BBOX.tokens)
        bank = train.features.flatten(0, 1)
        tokens, images = classify(val.features.to(device), bank, labels, len(names), neighbors, BBOX.temperature)
    predictions = {
        "image": np.array([str(path.relative_to(arguments.data)) for path in val.paths]),
        "truth": np.array([number[name] for name in val.classes]),
        "token_prediction": tokens.cpu().numpy(),  # (n, 9, k)
        "vote_prediction": images.cpu().numpy(),  # (n, k)
        "neighbors": np.array(BBOX.neighbors),
        "classes": np.array(names),
    }
    write_atomic(arguments.out / PREDICTIONS, lambda path: np.savez_compressed(path, **predictions))
    _record(arguments, data, val, loaded.model_fields(arguments.name), predictions, watch, warnings, device)


def knn_metrics(predictions: dict[str, np.ndarray], protocol: Protocol = BBOX) -> dict[str, Metric]:
    """Score saved predictions, in percent.

    For each number of neighbors k: `vote_k` is the share of images whose tokens, voting together, name the class;
    `any_of_9_k` is the share of which at least one token does. The second is the more lenient: it is never below a
    single token's accuracy and is not a classifier, since it picks the right token with hindsight.
    """
    truth = predictions["truth"]
    metrics = {}
    for column, k in enumerate(protocol.neighbors):
        vote = predictions["vote_prediction"][:, column] == truth
        any_token = (predictions["token_prediction"][:, :, column] == truth[:, None]).any(axis=1)
        for name, right in ((f"vote_k{k}", vote), (f"any_of_{protocol.tokens}_k{k}", any_token)):
            values = 100.0 * right
            metrics[name] = Metric(float(values.mean()), interval=percentile_interval(values, unit="images"))
    return metrics


def _record(
    arguments: argparse.Namespace,
    data: BoxData,
    val: BoxFeatures,
    model: dict,
    predictions: dict[str, np.ndarray],
    watch: Stopwatch,
    warnings: list[str],
    device: torch.device,
) -> None:
    """Score the predictions and write the record."""
    with watch.phase("scoring"):
        metrics = knn_metrics(predictions)
    # Images without a usable box are not items; those behind --limit are items that were not evaluated.
    skipped = len(data.val) - len(data.val[: arguments.limit])
    dataset = Dataset(
        name=data.name,
        split="val",
        official=data.official,
        items_expected=len(val.classes) + skipped,
        items_evaluated=len(val.classes),
        item="images",
        annotation_sha256=data.annotation_sha256,
    )
    finish_record(
        arguments.out / "record.json",
        arguments=arguments,
        model=model,
        benchmark="knn",
        protocol=BBOX.name,
        dataset=dataset,
        metrics=metrics,
        headline=f"vote_k{BBOX.headline_neighbors}",
        timing=watch.timing(len(val.classes)),
        config=dataclasses.asdict(BBOX),
        files={"predictions": PREDICTIONS},
        warnings=warnings,
        device=device,
    )
