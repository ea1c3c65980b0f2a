"""The order of training images: endless, the same for a seed, resumable, wide images apart from tall ones."""

from collections.abc import Iterator

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from eval.detector.dataset import CocoFile
from flsl.runtime.distributed import this_rank, world_size


@DATA_SAMPLERS.register_module()
class EndlessAspectSampler(Sampler):
    """Yields indices such that each run of `batch` of them is one batch of images of one orientation.

    Batches of one orientation waste less padding. Every epoch is a new permutation; images that do not fill a batch
    wait for the next epoch. With several processes each takes every n-th batch of the common order.
    """

    def __init__(self, dataset: CocoFile, batch: int, seed: int = 0):
        """`batch` is the number of images a process and step."""
        self.is_wide, self.batch, self.seed = dataset.is_wide, batch, seed
        self.rank, self.world = this_rank(), world_size()
        self.skipped = 0

    def skip(self, samples: int) -> None:
        """Leave out this process's first `samples` indices: mmengine calls it when it resumes a run."""
        self.skipped = samples

    def _batches(self) -> Iterator[list[int]]:
        waiting: dict[bool, list[int]] = {True: [], False: []}
        epoch = 0
        while True:
            for index in np.random.default_rng([self.seed, epoch]).permutation(len(self.is_wide)):
                group = waiting[bool(self.is_wide[index])]
                group.append(int(index))
                if len(group) == self.batch:
                    yield list(group)
                    group.clear()
            epoch += 1

    def __iter__(self) -> Iterator[int]:
        """Yield dataset indices without end."""
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
