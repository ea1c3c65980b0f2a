"""What a run would cost, and where its time goes: both train a few real steps in a temporary folder and keep nothing."""

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eval.coco.metrics import evaluate
from eval.coco.recipe import CocoRecipe
from eval.coco.run import data_files
from eval.detector.annotations import Annotations, read_annotations
from eval.detector.recipe import read_recipe
from flsl.device import choose_device

STEPS, WARM_UP, IMAGES = 20, 2, 8
SCORED_IMAGES = 5000  # of val2017


@dataclass(frozen=True)
class Probe:
    """What twenty steps and eight images showed; seconds and MiB."""

    recipe: CocoRecipe
    train_images: int
    truth: Annotations
    step: float
    wait: float
    image: float
    memory: float
    state: float  # a resumable state on disk
    detector: float  # the finished detector on disk


def plan(arguments: argparse.Namespace) -> None:
    """Print what the command would do: steps, time, memory and disk."""
    from eval.detector.distributed import world_size
    from eval.detector.optimizer import scaled_learning_rate
    from eval.detector.schedule import steps

    probe = _probe(arguments)
    training = probe.recipe.training
    total, milestones = steps(training, probe.train_images)
    images = len(probe.truth.images)
    detections = images * probe.recipe.testing.max_detections * 300 / 2**20  # about 300 bytes each, mask included
    kept = f"2 x {probe.state:.0f} MiB of states, {probe.detector:.0f} MiB detector"
    print(f"{probe.recipe.protocol} with {arguments.checkpoint} on {world_size()} x {choose_device(arguments.device)}")
    print(
        f"  train   {probe.train_images} images, batch {training.batch}: {total} iterations, learning rate "
        f"{scaled_learning_rate(training):g}, a tenth after {' and '.join(map(str, milestones))}"
    )
    print(
        f"          {probe.step:.2f} s a step ({probe.wait:.2f} s of it waiting for data): {_hours(total * probe.step)}"
    )
    print(f"  detect  {images} images, {probe.image:.2f} s each: {_hours(images * probe.image / world_size())}")
    print(f"  memory  {probe.memory:.0f} MiB a process at its peak")
    print(f"  disk    {kept}, up to {detections:.0f} MiB detections")
    print(f"Measured over {STEPS} steps and {IMAGES} images. Nothing was started.")


def bench(arguments: argparse.Namespace) -> None:
    """Print where time goes: a training step and its wait for data, an image's detection, and scoring by both backends."""
    probe = _probe(arguments)
    truth, detections = drawn_detections(probe.truth, SCORED_IMAGES)
    print(f"step {probe.step:.3f} s, of which {probe.wait:.3f} s waiting for data; {probe.memory:.0f} MiB at the peak")
    print(f"detection {probe.image:.3f} s an image, masks pasted and encoded")
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
    """Repeat the annotations to so many images, and draw about two shifted detections for each object.

    Returns:
        Annotations with new ids, and COCO results for them whose masks are the objects' own.
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
            code = _mask(annotation, image)
            for _ in range(2):
                box = np.array(annotation["bbox"], float) * rng.uniform(0.9, 1.1, 4)
                results.append(
                    {
                        "image_id": number,
                        "category_id": annotation["category_id"],
                        "bbox": box.round(2).tolist(),
                        "score": float(rng.random()),
                        "segmentation": code,
                    }
                )
    return replace(truth, images=entries, of_image=repeated), results


def _mask(annotation: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """Return an object's mask as compressed RLE; that of its box where it has none."""
    from pycocotools import mask as rle

    code = annotation.get("segmentation") or [box_polygon(annotation["bbox"])]
    if isinstance(code, list):
        return rle.merge(rle.frPyObjects(code, image["height"], image["width"]))
    return rle.frPyObjects(code, *code["size"]) if isinstance(code["counts"], list) else code


def box_polygon(box: list[float]) -> list[float]:
    """Return a box [x, y, width, height] as a polygon."""
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def _probe(arguments: argparse.Namespace) -> Probe:
    from eval.detector.detect import detect
    from eval.detector.hooks import TimingHook
    from eval.detector.train import train_detector

    recipe, _ = read_recipe(arguments.config, arguments.overrides, CocoRecipe)
    files, device = data_files(recipe, arguments.data), choose_device(arguments.device)
    masks = recipe.model.detector == "mask-rcnn"
    truth = read_annotations(files["val_annotations"], files["val_images"], masks)
    content = read_annotations(files["train_annotations"], files["train_images"], masks)
    used = len(content.images) if recipe.training.keep_empty_images else len(content.of_image)
    timing, short = TimingHook(), replace(recipe.training, iterations=STEPS + WARM_UP)
    with tempfile.TemporaryDirectory(prefix="flsl-probe-") as folder:
        detector = train_detector(
            replace(recipe, training=short),
            arguments.checkpoint,
            annotations=files["train_annotations"],
            images=files["train_images"],
            out=Path(folder),
            seed=arguments.seed,
            device=device,
            hooks=[timing],
        )
        times = []
        for images in (WARM_UP, WARM_UP + IMAGES):  # their difference leaves out reading and building
            start = time.perf_counter()
            detect(
                recipe,
                detector,
                annotations=files["val_annotations"],
                images=files["val_images"],
                out=Path(folder) / "detections.json",
                device=device,
                limit=images,
            )
            times.append(time.perf_counter() - start)
        state = max(file.stat().st_size for file in (Path(folder) / "train").glob("*.pth"))
        size = detector.stat().st_size
    step, wait = timing.median()
    return Probe(
        recipe=recipe,
        train_images=used,
        truth=truth,
        step=step,
        wait=wait,
        image=max(times[1] - times[0], 0.0) / IMAGES,
        memory=_peak_memory(device),
        state=state / 2**20,
        detector=size / 2**20,
    )


def _peak_memory(device: Any) -> float:
    """Return MiB of the device's memory, or of the process on a CPU."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{seconds / 60:.1f} min"
