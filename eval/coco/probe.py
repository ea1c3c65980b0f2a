"""What a COCO run would cost (`--plan`), and where its time goes (`bench`)."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from eval.coco.drawn import drawn_detections
from eval.coco.recipe import CocoRecipe
from eval.coco.run import splits
from eval.detector.annotations import Annotations, read_annotations
from eval.detector.probe import Probe, bench_input, print_bench, print_plan, probe
from eval.detector.recipe import read_recipe
from eval.metrics.coco import Backend, Kind, evaluate
from eval.metrics.resample import ap_resampler
from flsl.runtime.device import choose_device
from flsl.runtime.distributed import is_main
from results.bootstrap import percentile_interval

SCORED_IMAGES = 5000  # of val2017


def plan(*, checkpoint: str, data: Path, config: Path, overrides: Sequence[str], seed: int, device: str) -> None:
    """Print what a run would do.

    Raises:
        UserError: whatever would stop the run itself.
    """
    measured, recipe, truth = _measure(checkpoint, data, config, overrides, seed, device)
    print_plan(measured, recipe, checkpoint, len(truth.images), choose_device(device))


def bench(
    *,
    checkpoint: str | None,
    data: Path | None,
    config: Path,
    overrides: Sequence[str],
    seed: int,
    device: str,
    draw: Callable[..., object],
) -> None:
    """Print the time of a step, of detection by its parts, and of scoring as many images as val2017 has; and memory.

    Without data they are drawn: `draw(folder, **sizes)`, of `eval.data.synthesize`.

    Raises:
        UserError: whatever would stop the run itself.
    """
    recipe, _ = read_recipe(config, overrides, CocoRecipe)
    drawn = partial(draw, count=32, val_count=16, height=480, width=640)
    with bench_input(checkpoint, data, recipe, drawn) as (checkpoint, data):
        measured, _, truth = _measure(checkpoint, data, config, overrides, seed, device)
        print_bench(measured)
        if is_main():
            _bench_scoring(truth, ("box", "mask") if recipe.model.detector == "mask-rcnn" else ("box",))


def _measure(
    checkpoint: str, data: Path, config: Path, overrides: Sequence[str], seed: int, device: str
) -> tuple[Probe, CocoRecipe, Annotations]:
    recipe, _ = read_recipe(config, overrides, CocoRecipe)
    train, test = splits(recipe, data)
    truth = read_annotations(test.annotations, test.images, recipe.model.detector == "mask-rcnn", scored=True)
    measured = probe(
        recipe,
        checkpoint,
        train=(train.annotations, train.images),
        test=(test.annotations, test.images),
        seed=seed,
        device=choose_device(device),
    )
    return measured, recipe, truth


def _bench_scoring(truth: Annotations, kinds: tuple[Kind, ...]) -> None:
    """Print how long either backend takes, and the interval."""
    truth, detections = drawn_detections(truth, SCORED_IMAGES)
    totals: dict[Backend, float] = {"faster": 0.0, "pycocotools": 0.0}
    for backend in totals:  # their imports are not what is measured
        evaluate(truth, detections[:1], kinds[0], backend)
    print(f"scoring {len(truth.images)} images, {truth.count()} objects, {len(detections)} detections:")
    for kind in kinds:
        seconds: dict[Backend, float] = {}
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


def _compared(seconds: Mapping[Backend, float]) -> str:
    fast, plain = seconds["faster"], seconds["pycocotools"]
    return f"faster {fast:.2f} s, pycocotools {plain:.2f} s ({plain / fast:.1f} times)"
