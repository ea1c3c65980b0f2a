"""The two ways to a COCO record: train, detect and score; or score detections that are there already."""

import argparse
import dataclasses
from dataclasses import asdict
from pathlib import Path

from eval.coco.detections import read_detections
from eval.coco.recipe import CocoRecipe
from eval.coco.scoring import score
from eval.detector.annotations import read_annotations
from eval.detector.recipe import read_recipe
from eval.run import Stopwatch, outside_model
from flsl.checkpoint import load_encoder
from flsl.runtime.config import dump_config
from flsl.runtime.device import choose_device
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic
from results.store import read_record


def train_and_score(arguments: argparse.Namespace) -> None:
    """Train the recipe's detector unless it is trained, save its detections on the validation split, score them.

    Raises:
        UserError: data, recipe or checkpoint cannot be used, or training failed.
    """
    watch = Stopwatch()
    recipe, config = read_recipe(arguments.config, arguments.overrides, CocoRecipe)
    files, device, out = data_files(recipe, arguments.data), choose_device(arguments.device), arguments.out
    loaded = load_encoder(arguments.checkpoint, seed=arguments.seed)
    truth = read_annotations(files["val_annotations"], files["val_images"], recipe.model.detector == "mask-rcnn")
    # Importing mmdet takes seconds: not before what the command names is known to be there.
    from eval.detector.detect import detect
    from eval.detector.train import discard, train_detector
    from eval.detector.weights import read_detector_metadata
    from flsl.runtime.distributed import is_main, start_ranks, wait

    start_ranks(str(device))
    if is_main():
        if arguments.when_exists == "overwrite" and (out / "record.json").exists() and not arguments.test_only:
            discard(out)
        write_atomic(out / "config.py", lambda path: path.write_text(dump_config(config)))
    wait()
    detector = out / "detector.safetensors"
    if not arguments.test_only:
        with watch.phase("training"):
            detector = train_detector(
                recipe,
                arguments.checkpoint,
                annotations=files["train_annotations"],
                images=files["train_images"],
                out=out,
                seed=arguments.seed,
                device=device,
                evaluated=truth,
            )
    with watch.phase("detection"):
        detections = detect(
            recipe,
            detector,
            annotations=files["val_annotations"],
            images=files["val_images"],
            out=out / "detections.json",
            device=device,
        )
    if not is_main():
        return
    metadata = read_detector_metadata(detector)
    score(
        truth,
        detections,
        recipe=recipe,
        config=config,
        arguments=arguments,
        images=files["val_images"],
        model=loaded.model_fields(arguments.name),
        watch=watch,
        files={"detections": "detections.json", "config": "config.py", "detector": detector.name},
        warnings=metadata["warnings"],
        trained_on=metadata["images"],
    )


def score_saved(arguments: argparse.Namespace) -> None:
    """Score the detections in --predictions, or OUT/detections.json.

    The record's model is that of --checkpoint; else that of the record beside the detections; else an outside detector,
    named by --name or its file and identified by the file's hash.

    Raises:
        UserError: data or detections are missing or malformed.
    """
    watch = Stopwatch()
    recipe, config = read_recipe(arguments.config, arguments.overrides, CocoRecipe)
    files = data_files(recipe, arguments.data)
    path = arguments.predictions or arguments.out / "detections.json"
    with watch.phase("reading"):
        truth = read_annotations(files["val_annotations"], None)
        detections = read_detections(path, truth)
    warnings: list[str] = []
    beside = path.parent / "record.json"
    record = read_record(beside) if beside.is_file() else None
    if arguments.checkpoint is not None:
        loaded = load_encoder(arguments.checkpoint, seed=arguments.seed)
        model, warnings = loaded.model_fields(arguments.name), list(loaded.warnings)
    elif record is not None and record.files.get("detections") == path.name:
        model = asdict(record.model) | ({"name": arguments.name} if arguments.name else {})
        config, recipe = record.config, dataclasses.replace(recipe, protocol=record.protocol)
    else:
        model = outside_model(arguments.name or path.stem, "detector", [path])
        recipe = dataclasses.replace(recipe, protocol="coco/outside@1")
    score(
        truth,
        detections,
        recipe=recipe,
        config=config,
        arguments=arguments,
        images=files["val_images"],
        model=model,
        watch=watch,
        files={"detections": path.name} if path.parent.resolve() == arguments.out.resolve() else {},
        warnings=warnings,
    )


def data_files(recipe: CocoRecipe, data: Path) -> dict[str, Path]:
    """Return the paths that the recipe's `data` section names.

    Raises:
        UserError: `data` is empty.
    """
    if not any(data.iterdir()):
        raise UserError(f"--data {data} is empty. It must hold {', '.join(asdict(recipe.data).values())}.")
    return {name: data / value for name, value in asdict(recipe.data).items()}
