"""What a fine-tuning would cost (`--plan`), and where its time goes (`bench`), from a few real steps and images.

They are made in a temporary folder, of which nothing is kept.
"""

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from eval.finetune.predict import predict
from eval.finetune.task import Task
from eval.finetune.train import train
from eval.progress import marked
from flsl.runtime.apart import require_apart
from flsl.runtime.device import choose_device
from flsl.runtime.distributed import is_main, on_main, start_ranks, wait, world_size
from flsl.runtime.files import require_writable, write_text
from flsl.runtime.precision import choose_dtype
from flsl.runtime.stopwatch import peak_device_memory, peak_memory
from flsl.source import path_of

STEPS, WARM_UP, IMAGES = 20, 2, 8
PHASES = ("data", "network", "pasting", "encoding")


@dataclass(frozen=True)
class Probe:
    """What twenty steps and about eight images showed; seconds and MiB."""

    train_images: int  # that have something to learn from
    test_images: int
    step: float
    wait: float  # part of the step
    prediction: dict[str, float]  # of an image, by what it goes into (see `predict`)
    memory: float  # of a process, at its peak
    state: float  # a resumable state on disk
    weights: float  # the finished model on disk
    predictions: float  # on disk, at most

    @property
    def image(self) -> float:
        """Seconds that a process takes for an image."""
        return sum(self.prediction.values())


class TimingHook(Hook):
    """Measures training steps and how long each waited for its data, in seconds; the first WARM_UP only warm up."""

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
        return statistics.median(self.steps[WARM_UP:]), statistics.median(self.waits[WARM_UP:])


def probe(task: Task, checkpoint: str, *, seed: int, device: torch.device) -> Probe:
    """Train a few steps and predict on a few images.

    Args:
        task: recipe and data; what it writes goes to a temporary folder.
        checkpoint: what `flsl.checkpoint.load_encoder` takes.
        seed: of weights, order and augmentation.
        device: where to compute. Under torchrun every process calls this function.

    Raises:
        UserError: whatever would stop the run itself.
    """
    recipe = task.recipe  # what is wrong with it is said before data are looked at
    task.check()
    start_ranks(str(device))
    timing = TimingHook()
    with marked("probe"), _common_folder() as folder:
        task = task.but(f"training.iterations={STEPS + WARM_UP}", *task.everything, out=folder)
        if is_main():
            task.prepare()
        wait()
        weights = train(task, checkpoint, seed=seed, device=device, hooks=[timing])
        timings: list[dict[str, float]] = []
        limit = (recipe.testing.batch + IMAGES) * world_size()
        predict(task, device=device, limit=limit, timings=timings)
        state = max((file.stat().st_size for file in (folder / "train").glob("iter_*.pth")), default=0)
        size, images, found = weights.stat().st_size, task.images, task.mebibytes()
        wait()
    step, waited = timing.median()
    return Probe(
        train_images=timing.images,
        test_images=images,
        step=step,
        wait=waited,
        prediction=_of_an_image(timings),
        memory=peak_device_memory(device) or peak_memory(),
        state=state / 2**20,
        weights=size / 2**20,
        predictions=found,
    )


def _of_an_image(timings: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean seconds of an image by phase; the first batch only warms up, unless it is the only one."""
    measured = timings[1:] or timings
    images = sum(timing["images"] for timing in measured)
    return {name: sum(timing[name] for timing in measured) / images for name in PHASES if name in measured[0]}


def plan(task: Task, checkpoint: str, *, seed: int, device: str) -> None:
    """Print steps, time, memory and disk of a run.

    Raises:
        UserError: whatever would stop the run itself.
    """
    chosen = choose_device(device)
    measured = probe(task, checkpoint, seed=seed, device=chosen)
    if not is_main():
        return
    recipe, training, images = task.recipe, task.recipe.training, measured.test_images
    total = training.steps(measured.train_images)
    seconds = images * measured.image / world_size()
    print(f"{recipe.protocol} with {checkpoint} on {world_size()} x {chosen}")
    print(
        f"  train   {measured.train_images} images, batch {training.batch}: {total} iterations, learning rate "
        f"{training.scaled_learning_rate:g}, {training.schedule(total)[1]}"
    )
    print(
        f"          {measured.step:.2f} s a step ({measured.wait:.2f} s of it waiting for data): "
        f"{_hours(total * measured.step)}"
    )
    print(f"  {task.words[0]:7} {images} images, {measured.image:.2f} s each: {_hours(seconds)}")
    print(f"  memory  {measured.memory:.0f} MiB a process at its peak")
    print(
        f"  disk    2 x {measured.state:.0f} MiB of states, {measured.weights:.0f} MiB {task.kind}, "
        f"up to {measured.predictions:.0f} MiB {task.words[2]}"
    )
    print(f"Measured over {STEPS} steps and up to {IMAGES} images. Nothing was started.")


def bench(
    task: Task,
    checkpoint: str | None,
    *,
    seed: int,
    device: str,
    draw: Callable[..., object] | None = None,
    file: Path | None = None,
) -> None:
    """Print the time of a step and of an image by its parts, memory, and, where nothing else is the GPU's, of scoring.

    Args:
        task: recipe and data.
        checkpoint: None takes random weights of the recipe's encoder.
        seed: see `probe`.
        device: likewise, in words.
        draw: draws the task's data into a folder, where none are named.
        file: gets the figures as JSON.

    Raises:
        UserError: whatever would stop the run itself, or a file that cannot be written.
    """
    if file:
        inputs = {"--config": task.options.config, "--checkpoint": checkpoint and path_of(checkpoint)}
        require_apart(file, {"the files of --data": task.data}, inputs, option="--json")
        require_writable(file, "--json")
    chosen = choose_device(device)
    encoder = task.recipe.model.encoder or "vit_micro/16"
    with tempfile.TemporaryDirectory(prefix="flsl-bench-") as folder:
        if draw is not None:
            task = task.but(data=Path(folder) / "data")
            with contextlib.redirect_stdout(None):
                draw(task.data, **task.drawn)  # every process its own
        measured = probe(task, checkpoint or f"random:{encoder}", seed=seed, device=chosen)
        if is_main():
            parts = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in measured.prediction.items())
            print(f"step {measured.step:.3f} s, of which {measured.wait:.3f} s waiting for data")
            print(f"{task.words[1]} {measured.image:.3f} s an image ({parts}), of {world_size()} at a time")
            print(f"memory {measured.memory:.0f} MiB a process at its peak")
            if file:
                write_text(file, json.dumps([_row(task, measured, chosen)], indent=1))
            if chosen.type == "cpu":
                task.bench()


def _row(task: Task, measured: Probe, device: torch.device) -> dict[str, Any]:
    """Return what was measured as a row of figures."""
    training = task.recipe.training
    return {
        "what": task.recipe.protocol,
        "encoder": task.recipe.model.encoder,
        "batch": training.batch,
        "device": str(device),
        "precision": str(choose_dtype(training.precision, device)).removeprefix("torch."),
        "step_seconds": measured.step,
        "wait_seconds": measured.wait,
        "images_per_second": training.batch / measured.step,
        "image_seconds": measured.image,
        **{f"{name}_seconds": seconds for name, seconds in measured.prediction.items()},
        "memory_mib": float(measured.memory),
    }


@contextmanager
def _common_folder() -> Iterator[Path]:
    """Yield a temporary folder that all processes share; a node's own disk will do for one node."""
    with tempfile.TemporaryDirectory(prefix="flsl-probe-") as own:
        yield Path(on_main(lambda: own))


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{seconds / 60:.1f} min"
