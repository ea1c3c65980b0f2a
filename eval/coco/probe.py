"""What a COCO run would cost (`--plan`), and where its time goes (`bench`)."""

import argparse
import time
from functools import partial

import numpy as np

from eval.coco.drawn import drawn_detections
from eval.coco.recipe import CocoRecipe
from eval.coco.run import data_files
from eval.data.synthesize.coco import synthesize
from eval.detector.annotations import Annotations, read_annotations
from eval.detector.probe import Probe, bench_input, print_bench, print_plan, probe
from eval.detector.recipe import read_recipe
from eval.metrics.coco import evaluate
from eval.metrics.resample import ap_resampler
from flsl.runtime.device import choose_device
from flsl.runtime.distributed import is_main
from results.bootstrap import percentile_interval

SCORED_IMAGES = 5000  # of val2017


def plan(arguments: argparse.Namespace) -> None:
    """Print what the command would do.

    Raises:
        UserError: whatever would stop the run itself.
    """
    measured, recipe, truth = _measure(arguments)
    print_plan(measured, recipe, arguments.checkpoint, len(truth.images), choose_device(arguments.device))


def bench(arguments: argparse.Namespace) -> None:
    """Print the time of a step, of detection by its parts, and of scoring as many images as val2017 has; and memory.

    Raises:
        UserError: whatever would stop the run itself.
    """
    draw = partial(synthesize, seed=0, count=32, val_count=16, height=480, width=640)
    with bench_input(arguments, draw):
        measured, recipe, truth = _measure(arguments)
        print_bench(measured)
        if is_main():
            _bench_scoring(truth, ("box", "mask") if recipe.model.detector == "mask-rcnn" else ("box",))


def _measure(arguments: argparse.Namespace) -> tuple[Probe, CocoRecipe, Annotations]:
    recipe, _ = read_recipe(arguments.config, arguments.overrides, CocoRecipe)
    files = data_files(recipe, arguments.data)
    truth = read_annotations(files["val_annotations"], files["val_images"], recipe.model.detector == "mask-rcnn")
    measured = probe(
        recipe,
        arguments.checkpoint,
        train=(files["train_annotations"], files["train_images"]),
        test=(files["val_annotations"], files["val_images"]),
        seed=arguments.seed,
        device=choose_device(arguments.device),
    )
    return measured, recipe, truth


def _bench_scoring(truth: Annotations, kinds: tuple[str, ...]) -> None:
    """Print how long either backend takes, and the interval."""
    truth, detections = drawn_detections(truth, SCORED_IMAGES)
    for backend in ("faster", "pycocotools"):  # their imports are not what is measured
        evaluate(truth, detections[:1], kinds[0], backend)
    print(f"scoring {len(truth.images)} images, {truth.count()} objects, {len(detections)} detections:")
    totals = dict.fromkeys(("faster", "pycocotools"), 0.0)
    for kind in kinds:
        seconds = {}
        for backend in totals:
            start = time.perf_counter()
            evaluation = evaluate(truth, detections, kind, backend)
            seconds[backend] = time.perf_counter() - start
            totals[backend] += seconds[backend]
        start = time.perf_counter()
        count, statistic = ap_resampler(truth, detections, evaluation)
        percentile_interval(np.arange(count), statistic, unit="images")
        print(f"  {kind:4} {_compared(seconds)}; interval {time.perf_counter() - start:.2f} s")
    print(f"  all  {_compared(totals)}")


def _compared(seconds: dict[str, float]) -> str:
    fast, plain = seconds["faster"], seconds["pycocotools"]
    return f"faster {fast:.2f} s, pycocotools {plain:.2f} s ({plain / fast:.1f} times)"
