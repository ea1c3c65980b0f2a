"""From images to batches on the device: processes that load beside the training, uploads and colors beside the step."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from flsl.runtime.device import cores
from flsl.runtime.distributed import Ranks
from flsl.runtime.preemption import leave_signals_to_the_main_process
from pretrain.apply_batched import ApplyBatched, apply_batched
from pretrain.batch import Batch, to_device
from pretrain.dataset import Order, ViewDataset, collate
from pretrain.method import find_method
from pretrain.recipe import Recipe
from pretrain.step import compiles

Sample = dict[str, Any]
AHEAD = 2  # steps that are queued on a GPU at most


class Feed:
    """The micro-batches of one rank, step by step from `first` on.

    An item is (samples, batches) of a step: what was loaded, and that on the device; no batches where a sample holds no
    readable image. On a GPU the batches of a step are made while the one before runs: nothing waits but the host, for
    its loader, or for the GPU where that has `AHEAD` steps to do: batches of more would fill its memory, and the time that
    the loader takes beside a busy GPU would count as waiting for data.
    """

    def __init__(self, paths: list[Path], recipe: Recipe, ranks: Ranks, first: int):
        """Nothing is loaded yet."""
        self.paths, self.recipe, self.ranks, self.first = paths, recipe, ranks, first
        self.waited = 0.0  # seconds for the loader, since somebody set it to 0
        self.apply = choose_apply(recipe, ranks.device)

    def __iter__(self) -> Iterator[tuple[list[Sample], list[Batch]]]:
        order = Order(len(self.paths), self.recipe, self.ranks.rank, self.ranks.world, self.first)
        samples = load(self.paths, self.recipe, self.ranks, order)
        aside = torch.cuda.Stream(self.ranks.device) if self.ranks.device.type == "cuda" else None
        parts, queued = self.recipe.training.accumulate, deque[Any]()
        for _ in range(len(order) // parts):
            begin = time.perf_counter()
            loaded = [next(samples) for _ in range(parts)]
            self.waited += time.perf_counter() - begin
            yield loaded, self._upload(loaded, aside)
            if aside is not None:
                queued.append(
                    torch.cuda.current_stream(self.ranks.device).record_event(torch.cuda.Event(blocking=True))
                )
                if len(queued) > AHEAD:
                    queued.popleft().synchronize()

    def _upload(self, samples: list[Sample], aside: Any) -> list[Batch]:
        if any(unusable(sample) for sample in samples):
            return []
        with torch.cuda.stream(aside) if aside else nullcontext():
            keep = find_method(self.recipe).keeps_crops(self.recipe)
            batches = [to_device(s, self.ranks.device, keep, self.apply) for s in samples]
        if aside is not None:
            ours = torch.cuda.current_stream(self.ranks.device)
            ours.wait_stream(aside)
            for tensor in (t for batch in batches for t in batch.tensors()):
                tensor.record_stream(ours)  # or its memory is given away while the step still reads it
        return batches


def unusable(sample: Sample) -> bool:
    """Tell whether a sample holds no readable image."""
    return sample.keys() == {"unreadable"}


def load(paths: list[Path], recipe: Recipe, ranks: Ranks, order: Any) -> Iterator[Sample]:
    """Return an iterator over collated samples, loaded by the recipe's number of processes."""
    where: Literal["device", "workers"]
    if recipe.training.photometric == "auto":
        where = "workers" if ranks.device.type == "cpu" else "device"
    else:
        where = recipe.training.photometric
    workers = choose_workers(recipe, ranks.device)
    return iter(
        DataLoader(
            ViewDataset(paths, recipe, where),
            batch_sampler=order,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=ranks.device.type == "cuda",
            worker_init_fn=single_thread,
            prefetch_factor=4 if workers else None,
        )
    )


def choose_apply(recipe: Recipe, device: torch.device) -> ApplyBatched:
    """Return what changes colors on the device, compiled where the encoders are."""
    return ApplyBatched(partial(torch.compile, dynamic=False)) if compiles(recipe, device) else apply_batched


def choose_workers(recipe: Recipe, device: torch.device) -> int:
    """Return the recipe's number of loading processes of a rank, or one that suits the cores: all but one beside a GPU,
    and a quarter beside training that needs the cores itself."""
    if recipe.runtime.workers is not None:
        return recipe.runtime.workers
    return max(cores() - 1 if device.type == "cuda" else cores() // 4, 1)


def single_thread(_: int) -> None:
    """Keep a data worker on one thread, and leave signals to the main process."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    leave_signals_to_the_main_process()
