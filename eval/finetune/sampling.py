"""The order of training images, and the random numbers of each: neither depends on interruptions or on processes."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from flsl.runtime.distributed import this_rank, world_size


def seed_by(*numbers: int) -> None:
    """Start the random numbers of torch, numpy and Python anew, from numbers such as (seed, epoch, index)."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class SeededDataset(BaseDataset):
    """A data set whose every sample starts its own random numbers.

    It has `categories` by label, `warnings`, the number of images `listed`, and `is_wide` of each image.
    """

    categories: list[dict[str, Any]]
    warnings: list[str]
    listed: int
    is_wide: np.ndarray

    def __getitem__(self, item: int | tuple[int, int, int]) -> dict[str, Any]:
        """Return one image after the transforms.

        Args:
            item: index of the image; in training (seed, epoch, index), which all that is random follows from, so that
                samples depend neither on the number of workers nor on interruptions.
        """
        if isinstance(item, tuple):
            seed_by(*item)
            item = item[-1]
        return super().__getitem__(item)


@DATA_SAMPLERS.register_module()
class EndlessAspectSampler(Sampler):
    """Yields (seed, epoch, index) such that each run of `batch` of them is one batch of images of one orientation.

    Batches of one orientation waste less padding. Every epoch is a new permutation; images that do not fill a batch
    wait for the next epoch. With several processes each takes every n-th batch of the common order.
    """

    def __init__(self, dataset: SeededDataset, batch: int, seed: int = 0):
        """`batch` is the number of images a process and step."""
        self.is_wide, self.batch, self.seed = dataset.is_wide, batch, seed
        self.rank, self.world = this_rank(), world_size()
        self.skipped = 0

    def skip(self, samples: int) -> None:
        """Leave out this process's first `samples` indices: mmengine calls it when it resumes a run."""
        self.skipped = samples

    def _batches(self) -> Iterator[list[tuple[int, int, int]]]:
        waiting: dict[bool, list[tuple[int, int, int]]] = {True: [], False: []}
        epoch = 0
        while True:
            for index in np.random.default_rng([self.seed, epoch]).permutation(len(self.is_wide)):
                group = waiting[bool(self.is_wide[index])]
                group.append((self.seed, epoch, int(index)))
                if len(group) == self.batch:
                    yield list(group)
                    group.clear()
            epoch += 1

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Yield the data set's items without end."""
        drop = self.skipped
        for number, batch in enumerate(self._batches()):
            if number % self.world != self.rank:
                continue
            if drop >= self.batch:
                drop -= self.batch
                continue
            yield from batch

    def __len__(self) -> int:
        """Return the number of images, an epoch's worth."""
        return len(self.is_wide)
