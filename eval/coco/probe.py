"""What a COCO run would cost, and where its time goes."""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np

from eval.coco.mask_overlap import compressed
from eval.coco.metrics import evaluate
from eval.coco.recipe import CocoRecipe
from eval.coco.run import data_files
from eval.detector.annotations import Annotations, read_annotations
from eval.detector.recipe import read_recipe
from flsl.device import choose_device

SCORED_IMAGES = 5000  # of val2017


def plan(arguments: argparse.Namespace) -> None:
    """Print what the command would do (`--plan`), or how fast its parts are (`--bench`)."""
    from eval.detector.distributed import is_main
    from eval.detector.probe import print_bench, print_plan, probe

    recipe, _ = read_recipe(arguments.config, arguments.overrides, CocoRecipe)
    files, device = data_files(recipe, arguments.data), choose_device(arguments.device)
    truth = read_annotations(files["val_annotations"], files["val_images"], recipe.model.detector == "mask-rcnn")
    measured = probe(
        recipe,
        arguments.checkpoint,
        train=(files["train_annotations"], files["train_images"]),
        test=(files["val_annotations"], files["val_images"]),
        seed=arguments.seed,
        device=device,
    )
    if arguments.plan:
        print_plan(measured, recipe, arguments.checkpoint, len(truth.images), device)
        return
    print_bench(measured)
    if is_main():
        _bench_scoring(truth)


def _bench_scoring(truth: Annotations) -> None:
    """Print how long either backend takes to score as many images as val2017 has."""
    truth, detections = drawn_detections(truth, SCORED_IMAGES)
    for kind in ("box", "mask"):
        seconds = {}
        for backend in ("faster", "pycocotools"):
            start = time.perf_counter()
            evaluate(truth, detections, kind, backend)
            seconds[backend] = time.perf_counter() - start
        ratio = seconds["pycocotools"] / seconds["faster"]
        print(
            f"scoring {kind} of {len(truth.images)} images, {len(detections)} detections: faster-coco-eval "
            f"{seconds['faster']:.2f} s, pycocotools {seconds['pycocotools']:.2f} s, {ratio:.1f} times"
        )


def drawn_detections(truth: Annotations, images: int, seed: int = 0) -> tuple[Annotations, list[dict[str, Any]]]:
    """Repeat the annotations to so many images, and draw two detections for each object: it, but shifted.

    Returns:
        Annotations with new ids, and COCO results for them with boxes and masks.
    """
    rng = np.random.default_rng(seed)
    repeated: dict[int, list[dict[str, Any]]] = {}
    entries, results = [], []
    for number in range(images):
        image = truth.images[number % len(truth.images)]
        entries.append(image | {"id": number})
        repeated[number] = []
        for annotation in truth.of_image.get(image["id"], ()):
            repeated[number].append(annotation | {"id": len(results) + 1, "image_id": number})
            x, y, width, height = annotation["bbox"]
            for dx, dy in rng.normal(0, 0.1, (2, 2)) * (width, height):
                results.append(
                    {
                        "image_id": number,
                        "category_id": annotation["category_id"],
                        "bbox": [round(x + dx, 2), round(y + dy, 2), width, height],
                        "score": float(rng.random()),
                        "segmentation": compressed(_shifted(annotation, dx, dy), image["height"], image["width"]),
                    }
                )
    return replace(truth, images=entries, of_image=repeated), results


def _shifted(annotation: dict[str, Any], dx: float, dy: float) -> list | dict[str, Any]:
    """Return an object's segmentation (its box where it has none), shifted if it is a polygon."""
    x, y, width, height = annotation["bbox"]
    box = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    shape = annotation.get("segmentation") or box
    return shape if isinstance(shape, dict) else [np.add(np.reshape(part, (-1, 2)), (dx, dy)).ravel() for part in shape]
