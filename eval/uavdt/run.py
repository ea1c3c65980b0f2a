"""The two ways to a UAVDT record: train, detect and score; or score detections that are there already."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.run import Stopwatch, outside_model
from eval.uavdt.coco_format import coco_document
from eval.uavdt.files import SequenceDetections, write_detections
from eval.uavdt.layout import Layout, open_layout
from eval.uavdt.scoring import read_results, score
from flsl.runtime.device import choose_device
from flsl.runtime.files import write_atomic
from results.store import read_record

if TYPE_CHECKING:
    from eval.uavdt.recipe import UavdtRecipe

DETECTIONS = "detections"


def train_and_score(arguments: argparse.Namespace) -> None:
    """Train the recipe's detector unless it is trained, save its detections on the test split, score them.

    Raises:
        UserError: data, recipe or checkpoint cannot be used, or training failed.
    """
    layout = open_layout(arguments.data)
    layout.require_frames()
    # Importing torch and mmdet takes seconds: not before the folders are known to be there.
    from eval.detector.detect import detect
    from eval.detector.recipe import read_recipe
    from eval.detector.train import discard, train_detector
    from eval.detector.weights import read_detector_metadata
    from eval.uavdt.recipe import UavdtRecipe
    from flsl.checkpoint import load_encoder
    from flsl.runtime.config import dump_config
    from flsl.runtime.distributed import is_main, start_ranks, wait

    watch = Stopwatch()
    recipe, config = read_recipe(arguments.config, arguments.overrides, UavdtRecipe)
    device = choose_device(arguments.device)
    start_ranks(str(device))
    loaded = load_encoder(arguments.checkpoint, seed=arguments.seed)
    train, test = split_files(layout, recipe, arguments.out)
    if is_main():
        finished = (arguments.out / "record.json").exists()
        if arguments.when_exists == "overwrite" and finished and not arguments.test_only:
            discard(arguments.out)
        write_atomic(arguments.out / "config.py", lambda path: path.write_text(dump_config(config)))
        with watch.phase("annotations"):
            write_splits(layout, recipe, train, test)
    wait()
    detector = arguments.out / "detector.safetensors"
    if not arguments.test_only:
        with watch.phase("training"):
            detector = train_detector(
                recipe,
                arguments.checkpoint,
                annotations=train,
                images=layout.root,
                out=arguments.out,
                seed=arguments.seed,
                device=device,
            )
    with watch.phase("detection"):
        found = detect(
            recipe,
            detector,
            annotations=test,
            images=layout.root,
            out=arguments.out / "detections.json",
            device=device,
        )
    if not is_main():
        return
    for detections in _by_sequence(json.loads(test.read_bytes())["images"], found, layout.sequences("test")):
        write_detections(arguments.out / DETECTIONS, detections)
    warnings = list(read_detector_metadata(detector)["warnings"])
    there = len(layout.sequences("train"))
    if layout.marker is None and there < 30:
        warnings.append(f"only {there} of the 30 official training sequences were there to train on")
    score(
        read_results(layout, arguments.out / DETECTIONS),
        out=arguments.out,
        arguments=arguments,
        model=loaded.model_fields(arguments.name),
        watch=watch,
        config=config,
        files={"detections": DETECTIONS, "config": "config.py", "detector": detector.name},
        warnings=warnings,
    )


def score_saved(arguments: argparse.Namespace) -> None:
    """Score the detections in --predictions.

    The record's model is that of --checkpoint; else that of the record beside the detections, if this project made
    them; else an outside detector, named by --name or its folder and identified by the hash of its files.

    Raises:
        UserError: data or detections are missing or malformed.
    """
    watch = Stopwatch()
    folder = arguments.predictions or arguments.out / DETECTIONS
    with watch.phase("reading"):
        layout = open_layout(arguments.data)
        results = read_results(layout, folder)
    config = None
    warnings: list[str] = []
    files = {"detections": DETECTIONS} if folder.resolve() == (arguments.out / DETECTIONS).resolve() else {}
    beside = folder.resolve().parent / "record.json"
    record = read_record(beside) if beside.is_file() else None
    if arguments.checkpoint is not None:
        from flsl.checkpoint import load_encoder

        loaded = load_encoder(arguments.checkpoint, seed=arguments.seed)
        model, warnings = loaded.model_fields(arguments.name), list(loaded.warnings)
    elif record is not None and record.files.get("detections") == folder.name:
        model = dataclasses.asdict(record.model)
        model["name"] = arguments.name or model["name"]
        config = record.config
    else:
        listed = [folder / f"{truth.name}.txt" for truth in results.truths]
        model = outside_model(arguments.name or folder.resolve().name, "detector", listed)
    score(
        results,
        out=arguments.out,
        arguments=arguments,
        model=model,
        watch=watch,
        config=config,
        files=files,
        warnings=warnings,
    )


def split_files(layout: Layout, recipe: "UavdtRecipe", out: Path) -> tuple[Path, Path]:
    """Return where the annotations of the training and test frames go.

    The name tells one choice of training frames from another, so that an interrupted training is not mixed up.
    """
    sequences = len(layout.sequences("train")[: recipe.frames.train_sequences])
    name = f"train_{sequences}_sequences_stride_{recipe.frames.train_stride}.json"
    return out / "annotations" / name, out / "annotations" / "test.json"


def write_splits(layout: Layout, recipe: "UavdtRecipe", train: Path, test: Path) -> None:
    """Write both splits as COCO documents."""
    frames = recipe.frames
    _write_annotations(layout, layout.sequences("train")[: frames.train_sequences], frames.train_stride, True, train)
    _write_annotations(layout, layout.sequences("test"), 1, False, test)


def _write_annotations(layout: Layout, sequences: list[str], stride: int, clip: bool, path: Path) -> None:
    truths = [layout.read_truth(sequence) for sequence in sequences]
    document = coco_document(layout, truths, stride=stride, clip=clip)
    write_atomic(path, lambda temporary: temporary.write_text(json.dumps(document)))


def _by_sequence(
    images: list[dict[str, Any]], found: list[dict[str, Any]], sequences: list[str]
) -> list[SequenceDetections]:
    """Sort COCO results into sequences, by frame; every sequence gets a (perhaps empty) entry.

    Boxes are rounded to 1/1000 pixel and scores to 1e-6, so that the files stay readable.
    """
    place = {image["id"]: (image["sequence"], image["frame"]) for image in images}
    rows: dict[str, list[tuple]] = {sequence: [] for sequence in sequences}
    for result in found:
        sequence, frame = place[result["image_id"]]
        rows[sequence].append((frame, *result["bbox"], result["score"], result["category_id"]))
    detections = []
    for sequence, values in rows.items():
        table = np.array(values, float).reshape(-1, 7)
        table = table[np.argsort(table[:, 0], kind="stable")]
        frame, category = table[:, 0].astype(int), table[:, 6].astype(int)
        detections.append(SequenceDetections(sequence, frame, table[:, 1:5].round(3), table[:, 5].round(6), category))
    return detections
