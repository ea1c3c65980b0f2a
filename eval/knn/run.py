"""From an encoder and images with boxes to predictions and a record.

python -m eval knn --checkpoint CHECKPOINT --data DIR --out DIR
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eval.knn.data import BoxData, read_box_data
from eval.knn.features import extract
from eval.knn.protocol import BBOX
from eval.knn.vote import classify
from eval.predictor import load_predictor
from eval.run import AnyEncoder, Run
from flsl.runtime.errors import UserError
from flsl.runtime.files import digest_of_files, write_atomic
from flsl.runtime.schema import PositiveInt, section
from flsl.runtime.text import shorten
from results.bootstrap import percentile_interval
from results.record import Dataset, Interval, Record

if TYPE_CHECKING:
    from flsl.encoder import Encoder

PREDICTIONS = "predictions.npz"


@section
class Options:
    """What can be chosen; nothing here changes a prediction."""

    limit: PositiveInt | None = None  # classify the first so many images only; the record is partial
    batch_size: PositiveInt = 64  # images encoded at once


def evaluate(encoder: AnyEncoder, data: Path, run: Run, options: Options) -> Record:
    """Encode both splits, classify the val split, save the predictions and score them.

    Raises:
        UserError: data or checkpoint cannot be used, `run.out` holds another run, or no image has a box inside the crop.
    """
    with run.watch.phase("reading"):
        boxes = read_box_data(data)
    protocol = boxes.protocol
    loaded, model = load_predictor(run, encoder, run.choose_device())
    todo = boxes.val[: options.limit]
    images = digest_of_files(data, [example.path for example in (*boxes.train, *boxes.val)], contents=False)
    identity = {
        "encoder": model.identity,
        "protocol": dataclasses.asdict(protocol),
        "data": {"annotations": boxes.annotation_sha256, "learned from": boxes.train_sha256, "images": images},
    }
    part = [str(example.path.relative_to(data)) for example in todo] if len(todo) < len(boxes.val) else None
    with run.claim(identity, part=part, outputs=[PREDICTIONS], together=True) as state:
        if state == "done":
            return run.kept()
        predictions, warnings = _predict(loaded.encoder, boxes, data, run, options)
        write_atomic(run.out / PREDICTIONS, lambda path: np.savez_compressed(path, **predictions))
        with run.watch.phase("scoring"):
            values, intervals = knn_scores(predictions)
        classified = len(predictions["truth"])
        run.learned_from = boxes.train_sha256
        column = protocol.neighbors.index(protocol.headline_neighbors)
        right = predictions["vote_prediction"][:, column] == predictions["truth"]
        return run.finish(
            model=model.model,
            protocol=protocol.name,
            headline=protocol.headline,
            dataset=Dataset(
                name=boxes.name,
                split="val",
                official=boxes.official,
                # Images without a usable box are not items; those behind `limit` are items that were not evaluated.
                items_expected=classified + len(boxes.val) - len(todo),
                items_evaluated=classified,
                item=run.benchmark.item,
                annotation_sha256=boxes.annotation_sha256,
            ),
            values=values,
            intervals=intervals,
            items=classified,
            config=dataclasses.asdict(protocol),
            per_item={
                str(name): {protocol.headline: 100.0 * hit} for name, hit in zip(predictions["image"], right.tolist())
            },
            files={"predictions": PREDICTIONS},
            warnings=model.warnings + warnings,
        )


def _predict(
    encoder: "Encoder", boxes: BoxData, data: Path, run: Run, options: Options
) -> tuple[dict[str, Any], list[str]]:
    """Classify the val images; returns what each token and image was taken for, and what a reader must know."""
    protocol, todo, warnings = boxes.protocol, boxes.val[: options.limit], []
    with run.watch.phase("features"):
        train = extract(encoder, boxes.train, protocol, run.device, options.batch_size, "train")
        val = extract(encoder, todo, protocol, run.device, options.batch_size, "val")
    for split, examples, found in (("train", boxes.train, train), ("val", todo, val)):
        if not found.classes:
            raise UserError(f"no image of the {split} split in {data} has a box inside the middle crop.")
        if len(found.classes) < len(examples):
            left = len(examples) - len(found.classes)
            warnings.append(f"{left} of {len(examples)} {split} images have no box inside the middle crop: left out")
    neighbors = tuple(min(k, len(train.classes) * protocol.tokens) for k in protocol.neighbors)
    if neighbors != protocol.neighbors:
        warnings.append(f"the bank has only {neighbors[-1]} tokens: larger numbers of neighbors are cut to it")
    names = sorted({*train.classes, *val.classes})
    if unknown := sorted(set(val.classes) - set(train.classes)):
        warnings.append(f"classes without a training image, always wrong: {shorten(unknown, 10)}")
    number = {name: index for index, name in enumerate(names)}
    with run.watch.phase("neighbors"):
        labels = torch.tensor([number[name] for name in train.classes]).repeat_interleave(protocol.tokens)
        bank = train.features.flatten(0, 1)
        tokens, images = classify(
            val.features.to(run.device), bank, labels, len(names), neighbors, protocol.temperature
        )
    predictions = {
        "image": np.array([str(path.relative_to(data)) for path in val.paths]),
        "truth": np.array([number[name] for name in val.classes]),
        "token_prediction": tokens.cpu().numpy(),  # (n, 9, k)
        "vote_prediction": images.cpu().numpy(),  # (n, k)
        "neighbors": np.array(protocol.neighbors),
        "classes": np.array(names),
    }
    return predictions, warnings


def knn_scores(predictions: dict[str, np.ndarray]) -> tuple[dict[str, float], dict[str, Interval]]:
    """Score saved predictions, in percent; returns values and intervals over images.

    For each number of neighbors k: `vote_k` is the share of images whose tokens, voting together, name the class;
    `any_of_9_k` is the share of which at least one token does. The second is the more lenient: it is never below a
    single token's accuracy and is not a classifier, since it picks the right token with hindsight.
    """
    truth = predictions["truth"]
    values, intervals = {}, {}
    for column, k in enumerate(BBOX.neighbors):
        vote = predictions["vote_prediction"][:, column] == truth
        any_token = (predictions["token_prediction"][:, :, column] == truth[:, None]).any(axis=1)
        for name, right in ((f"vote_k{k}", vote), (f"any_of_{BBOX.tokens}_k{k}", any_token)):
            values[name] = float((100.0 * right).mean())
            intervals[name] = percentile_interval(100.0 * right, unit="images")
    return values, intervals
