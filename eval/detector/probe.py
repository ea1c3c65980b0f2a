"""What a detector's run would cost: a few real steps and images in a temporary folder, of which nothing is kept."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from eval.detector.config import steps
from eval.detector.detect import detect
from eval.detector.optimizer import scaled_learning_rate
from eval.detector.recipe import Recipe
from eval.detector.train import train_detector
from flsl.runtime.distributed import is_main, on_main, start_ranks, wait, world_size
from flsl.runtime.stopwatch import peak_memory

STEPS, WARM_UP, IMAGES = 20, 2, 8
PHASES = ("data", "network", "pasting", "encoding")


@dataclass(frozen=True)
class Probe:
    """What twenty steps and about eight images showed; seconds and MiB."""

    train_images: int  # that have something to learn from
    step: float
    wait: float  # part of the step
    detection: dict[str, float]  # of an image, by what it goes into (see `detect`)
    memory: float  # of a process, at its peak
    state: float  # a resumable state on disk
    detector: float  # the finished detector on disk

    @property
    def image(self) -> float:
        """Seconds that a process takes to detect on an image."""
        return sum(self.detection.values())


class TimingHook(Hook):
    """Measures training steps and how long each waited for its data, in seconds; the first two only warm up."""

    def __init__(self):
        """Start with nothing measured."""
        self.images = 0  # of the training set
        self.steps: list[float] = []
        self.waits: list[float] = []

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self.images = len(runner.train_dataloader.dataset)
        self.last = time.perf_counter()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note how long the data took."""
        self.waits.append(time.perf_counter() - self.last)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Note how long the whole step took."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.steps.append(now - self.last)
        self.last = now

    def median(self) -> tuple[float, float]:
        """Return the median seconds of a step, and of its wait for data."""
        return statistics.median(self.steps[2:]), statistics.median(self.waits[2:])


def probe(
    recipe: Recipe,
    checkpoint: str,
    *,
    train: tuple[Path, Path],
    test: tuple[Path, Path],
    seed: int,
    device: torch.device,
) -> Probe:
    """Train a few steps and detect on a few images.

    Args:
        recipe: see `eval.detector.recipe`.
        checkpoint: what `flsl.checkpoint.load_encoder` takes.
        train: COCO instances JSON of the training split, and the folder of its images.
        test: likewise, of the split that is evaluated.
        seed: of weights, order and augmentation.
        device: where to compute. Under torchrun every process calls this function.

    Raises:
        UserError: whatever would stop the run itself.
    """
    start_ranks(str(device))
    timing, short = TimingHook(), replace(recipe.training, iterations=STEPS + WARM_UP)
    with _common_folder() as folder:
        detector = train_detector(
            replace(recipe, training=short),
            checkpoint,
            annotations=train[0],
            images=train[1],
            out=folder,
            seed=seed,
            device=device,
            hooks=[timing],
        )
        timings: list[dict[str, float]] = []
        # So short a training finds nothing; without a threshold every image has as many detections as it can have.
        detect(
            replace(recipe, testing=replace(recipe.testing, score_threshold=0.0)),
            detector,
            annotations=test[0],
            images=test[1],
            out=folder / "detections.json",
            device=device,
            limit=(recipe.testing.batch + IMAGES) * world_size(),
            timings=timings,
        )
        state = max((file.stat().st_size for file in (folder / "train").glob("iter_*.pth")), default=0)
        size = detector.stat().st_size
        wait()
    step, waited = timing.median()
    return Probe(
        train_images=timing.images,
        step=step,
        wait=waited,
        detection=_of_an_image(timings),
        memory=torch.cuda.max_memory_reserved(device) / 2**20 if device.type == "cuda" else peak_memory(),
        state=state / 2**20,
        detector=size / 2**20,
    )


def _of_an_image(timings: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean seconds of an image by phase; the first batch only warms up, unless it is the only one."""
    measured = timings[1:] or timings
    images = sum(timing["images"] for timing in measured)
    return {name: sum(timing[name] for timing in measured) / images for name in PHASES if name in measured[0]}


def print_plan(probe: Probe, recipe: Recipe, checkpoint: str, test_images: int, device: torch.device) -> None:
    """Print steps, time, memory and disk of the run that was probed."""
    if not is_main():
        return
    training = recipe.training
    total, milestones = steps(training, probe.train_images)
    # About 100 bytes a detection, and 200 more for its mask.
    each = 300 if recipe.model.detector == "mask-rcnn" else 100
    detections = test_images * recipe.testing.max_detections * each / 2**20
    kept = f"2 x {probe.state:.0f} MiB of states, {probe.detector:.0f} MiB detector"
    print(f"{recipe.protocol} with {checkpoint} on {world_size()} x {device}")
    print(
        f"  train   {probe.train_images} images, batch {training.batch}: {total} iterations, learning rate "
        f"{scaled_learning_rate(training):g}, a tenth after {' and '.join(map(str, milestones))}"
    )
    print(
        f"          {probe.step:.2f} s a step ({probe.wait:.2f} s of it waiting for data): {_hours(total * probe.step)}"
    )
    print(
        f"  detect  {test_images} images, {probe.image:.2f} s each: {_hours(test_images * probe.image / world_size())}"
    )
    print(f"  memory  {probe.memory:.0f} MiB a process at its peak")
    print(f"  disk    {kept}, up to {detections:.0f} MiB detections")
    print(f"Measured over {STEPS} steps and up to {IMAGES} images. Nothing was started.")


def print_bench(probe: Probe) -> None:
    """Print where a run's time goes."""
    if is_main():
        parts = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in probe.detection.items())
        print(f"step {probe.step:.3f} s, of which {probe.wait:.3f} s waiting for data")
        print(f"detection {probe.image:.3f} s an image ({parts}), of {world_size()} at a time")
        print(f"memory {probe.memory:.0f} MiB a process at its peak")


@contextmanager
def bench_input(
    checkpoint: str | None, data: Path | None, recipe: Recipe, draw: Callable[[Path], object]
) -> Iterator[tuple[str, Path]]:
    """Yield checkpoint and data for `bench`: what was given, else random weights and drawn data in a temporary folder.

    Args:
        checkpoint: as given.
        data: as given.
        recipe: it may name the encoder that it is for.
        draw: draws the benchmark's data into a new folder; every process draws its own.
    """
    with tempfile.TemporaryDirectory(prefix="flsl-bench-") as folder:
        if data is None:
            data = Path(folder) / "data"
            with contextlib.redirect_stdout(None):
                draw(data)
        if checkpoint is None:
            checkpoint = f"random:{recipe.model.encoder or 'vit_micro/16'}"
        yield checkpoint, data


@contextmanager
def _common_folder() -> Iterator[Path]:
    """Yield a temporary folder that all processes share; a node's own disk will do for one node."""
    with tempfile.TemporaryDirectory(prefix="flsl-probe-") as own:
        yield Path(on_main(lambda: own))


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{seconds / 60:.1f} min"
