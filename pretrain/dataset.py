"""Images to samples: a folder of images, samples that depend on (seed, epoch, index) alone, and their order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from flsl.runtime.errors import UserError
from flsl.runtime.files import IMAGES, list_files
from flsl.runtime.images import ImageError
from flsl.runtime.marker import read_marker
from pretrain.apply_opencv import apply_opencv
from pretrain.crops import cut_views, decode
from pretrain.method import find_method
from pretrain.photometric import as_tensor
from pretrain.recipe import Recipe

RETRIES = 10


def find_images(root: str | Path) -> list[Path]:
    """Return all images below a folder and what it links to, sorted; `train/` below it is taken where there is one (ImageFolder layout).

    Raises:
        UserError: no such folder, or no image in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(
            f"--data {root} is not a folder. Give ImageNet's folder (with train/<class>/*.JPEG), or any folder of "
            "images; `python -m eval data synthesize images DIR` draws one."
        )
    folder = root / "train" if (root / "train").is_dir() else root
    paths = list_files(folder, IMAGES)
    if not paths:
        raise UserError(f"--data {root} holds no images ({', '.join(sorted(IMAGES))}) in it or below")
    return paths


class ViewDataset(Dataset):
    """Item (epoch, index): the views of one image.

    Everything random comes from (seed, epoch, index), so samples do not depend on the number of workers or ranks, and
    a resumed run sees exactly what an uninterrupted one would have seen.
    """

    def __init__(self, paths: list[Path], recipe: Recipe, photometric: Literal["device", "workers"]):
        """`photometric` says where color, blur and solarization are applied: on the device later, or here."""
        self.paths, self.recipe, self.photometric = paths, recipe, photometric
        self.method = find_method(recipe)

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        epoch, index = item
        random = np.random.default_rng((self.recipe.training.seed, epoch, index))
        unreadable: list[int] = []
        for attempt in range(RETRIES):
            at = (index + attempt) % len(self.paths)
            try:
                image = decode(self.paths[at])
                break
            except ImageError:
                unreadable.append(at)  # its neighbor stands in, so that batches keep their size
        else:
            image = None
        sample: dict[str, Any] = {"unreadable": unreadable}
        if image is None:
            return sample
        return sample | self._views(image, random)

    def _views(self, image: Any, random: np.random.Generator) -> dict[str, Any]:
        """Cut, and in the CPU-only mode jitter, the views that the method draws."""
        plan = self.method.plan(self.recipe, image.shape[2], image.shape[1], random)
        cut = cut_views(image, plan.boxes, plan.nested)
        crops = [crop.flip(-1) if flip else crop for crop, flip in zip(cut, plan.flips)]
        sample: dict[str, Any] = dict(plan.drawn)
        if self.photometric == "workers":
            arrays = [apply_opencv(crop.permute(1, 2, 0).numpy(), p) for crop, p in zip(crops, plan.parameters)]
            sample["views"] = [torch.from_numpy(array).permute(2, 0, 1) for array in arrays]
        else:
            sample["parameters"] = as_tensor(plan.parameters)
        if self.photometric == "device" or self.method.keeps_crops(self.recipe):
            sample["crops"] = crops
        return sample


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack samples; lists over views stay lists, of `(B, ...)` tensors. Unreadable indices are joined."""
    batch: dict[str, Any] = {"unreadable": [i for sample in samples for i in sample["unreadable"]]}
    if any(len(sample) == 1 for sample in samples):  # nothing readable near one of the indices
        return batch
    for key in samples[0].keys() - {"unreadable"}:
        values = [sample[key] for sample in samples]
        batch[key] = [torch.stack(v) for v in zip(*values)] if isinstance(values[0], list) else torch.stack(values)
    return batch


@dataclass(frozen=True)
class Order(Sampler):
    """Which images a rank sees in each micro-batch, from a given step to the end of training.

    An epoch is one permutation, fixed by (seed, epoch); the last incomplete batch is dropped. Rank r takes the r-th
    slice of each global batch, so world sizes that share a global batch share its images.
    """

    images: int
    recipe: Recipe
    rank: int = 0
    world: int = 1
    first_step: int = 0

    @property
    def steps_per_epoch(self) -> int:
        """Whole global batches in one epoch."""
        return self.images // self.recipe.training.batch_size

    def __len__(self) -> int:
        steps = self.recipe.training.epochs * self.steps_per_epoch - self.first_step
        return steps * self.recipe.training.accumulate

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        training = self.recipe.training
        micro = training.batch_size // (self.world * training.accumulate)
        for epoch in range(self.first_step // self.steps_per_epoch, training.epochs):
            order = np.random.default_rng((training.seed, epoch)).permutation(self.images)
            first = max(self.first_step - epoch * self.steps_per_epoch, 0)
            for step in range(first, self.steps_per_epoch):
                for part in range(training.accumulate):
                    start = step * training.batch_size + (part * self.world + self.rank) * micro
                    yield [(epoch, int(i)) for i in order[start : start + micro]]


def check_batch(images: int, recipe: Recipe, world: int) -> None:
    """Raise UserError where the batch cannot be split over ranks and micro-batches, or is larger than the data."""
    training = recipe.training
    if training.batch_size % (world * training.accumulate):
        raise UserError(
            f"training.batch_size {training.batch_size} is global and must be a multiple of ranks x accumulate = "
            f"{world} x {training.accumulate}"
        )
    if images < training.batch_size:
        raise UserError(
            f"{images} images are fewer than one batch of {training.batch_size}: "
            "lower it with --set training.batch_size=N"
        )


def describe(paths: list[Path], root: Path) -> dict[str, Any]:
    """Return what a checkpoint says about its data: name, count, and whether the images were drawn."""
    marker = read_marker(root)
    return {"data": marker["name"] if marker else root.resolve().name, "images": len(paths)}


def draw_sample(recipe: Recipe, count: int) -> dict[str, Any]:
    """Return a collated sample of `count` images of noise, colors left to the device: for what measures a step without data."""
    dataset, side = ViewDataset([], recipe, "device"), recipe.views.global_size
    random = np.random.default_rng(0)
    noise = torch.from_numpy(random.integers(0, 256, (3, side, side), dtype=np.uint8))
    few = [{"unreadable": [], **dataset._views(noise, random)} for _ in range(min(count, 8))]
    return collate([few[i % len(few)] for i in range(count)])
