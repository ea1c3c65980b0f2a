"""Run a trained model over the evaluated images; its predictions are saved before anything is made of them."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from torch.utils.data import DataLoader, Subset

from eval.finetune.config import backbone_config
from eval.finetune.runner import attention_of_any_size, open_library, quiet
from eval.finetune.task import Task
from eval.finetune.weights import read_model
from eval.progress import Progress
from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_strictly
from flsl.runtime.distributed import gather, is_main, on_main, start_ranks, this_rank, world_size
from flsl.runtime.precision import choose_dtype
from flsl.runtime.preemption import Preempted, StopSignal, leave_signals_to_the_main_process
from flsl.runtime.stopwatch import Stopwatch, wait_for

BESIDE = 1  # batch whose predictions are encoded while the next one is computed


def load_model(task: Task, device: torch.device) -> tuple[BaseModel, list[dict[str, Any]]]:
    """Return the trained model in eval mode, and its categories in the order of labels.

    Raises:
        UserError: no such file, not a model of the task's kind, or one of another recipe.
    """
    metadata, state = read_model(task.weights, task.kind)
    _, build = open_library(task)
    backbone = backbone_config(task.recipe.model, EncoderConfig(**metadata["encoder"]))
    model = build(ConfigDict(task.model(backbone, len(metadata["categories"]))))
    load_strictly(model, state, str(task.weights))
    return model.to(device).to(memory_format=torch.channels_last).eval(), metadata["categories"]


def predict(
    task: Task,
    *,
    device: torch.device | None = None,
    limit: int | None = None,
    timings: list[dict[str, float]] | None = None,
) -> Any:
    """Predict on every evaluated image.

    Args:
        task: recipe, data, and the trained model in its folder `out`, which gets the predictions.
        device: where to compute; the CPU if not given. Under torchrun the images are shared by the processes.
        limit: look at the first so many images only, to measure how long one takes.
        timings: gets an entry a batch of this process: its number of `images`, and the seconds that it took to wait for
            `data`, for the `network`, for what `Task.timed` takes out of that, and to save or encode what was found
            (`encoding`).

    Returns:
        The predictions, as `Task.score` takes them; None in all processes but the first.

    Raises:
        UserError: see `load_model`; data that cannot be used; categories that are not the model's.
    """
    device, recipe = device or torch.device("cpu"), task.recipe
    start_ranks(str(device))
    log = task.out / "train" / "train.log"
    with (
        StopSignal() as signal,
        attention_of_any_size(device),
        quiet(log) as console,
        ThreadPoolExecutor(1) as pool,
    ):
        model, categories = load_model(task, device)
        build, _ = open_library(task)
        data = build(task.dataset("test"))
        task.check_categories(categories)
        pending = on_main(lambda: task.pending(len(data)))[:limit]  # the same in all processes
        # What is found is encoded beside the network's next batch, unless both are to be timed.
        waiting: deque[Future] = deque()
        collected: list[dict[str, Any]] = []
        loader = DataLoader(
            Subset(data, pending[this_rank() :: world_size()]),
            batch_size=recipe.testing.batch,
            num_workers=recipe.runtime.workers,
            collate_fn=pseudo_collate,
            worker_init_fn=leave_signals_to_the_main_process,
        )
        dtype = choose_dtype(recipe.testing.precision, device, "testing.precision")
        progress, batches = Progress(task.words[0], len(loader), console=console), iter(loader)
        for done in range(1, len(loader) + 1):
            if signal.requested:
                raise Preempted(
                    f"stopped by a signal after {done - 1} of {len(loader)} batches; run the same command again"
                )
            watch = Stopwatch()
            with watch.phase("data"):
                batch = next(batches)
            split = nullcontext() if timings is None else task.timed(model, watch, lambda: wait_for(device))
            cast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
            with watch.phase("network"), torch.inference_mode(), cast, split:
                samples = model.test_step(batch)
            with watch.phase("encoding"):
                waiting.append(pool.submit(task.collect, samples, categories))
                while len(waiting) > (BESIDE if timings is None else 0):
                    collected += waiting.popleft().result()
            if timings is not None:
                timings.append({"images": len(samples)} | watch.phases)
            if is_main():
                progress.update(done)
        for future in waiting:
            collected += future.result()
    collected = gather(collected)
    return task.save(collected) if is_main() else None
