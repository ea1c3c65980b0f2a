"""Micro-batches on the device: views that are finished there, and what a method drew with each image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pretrain.apply_batched import ApplyBatched, apply_batched
from pretrain.photometric import normalize

IMAGES = ("views", "crops", "parameters", "unreadable")  # of a sample; the rest is what the method drew


@dataclass
class Batch:
    """One micro-batch on the device: normalized views, and by name what the method drew for them, each a list of tensors
    `(B, ...)`. `drawn["crops"]` are normalized views without changes of color, for a method that asks for them."""

    views: list[torch.Tensor]
    drawn: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def tensors(self) -> list[torch.Tensor]:
        """Return all of it in one list."""
        return [*self.views, *(tensor for part in self.drawn.values() for tensor in part)]

    def filled_with(self, tensors: Sequence[torch.Tensor]) -> "Batch":
        """Return a batch like this one that holds other tensors, in the order of `tensors`."""
        left = iter(tensors)
        views = [next(left) for _ in self.views]
        return Batch(views, {name: [next(left) for _ in part] for name, part in self.drawn.items()})


def to_device(
    sample: dict[str, Any], device: torch.device, keep_crops: bool, apply: ApplyBatched = apply_batched
) -> Batch:
    """Move a collated sample to the device and finish its views there; `apply` changes colors."""

    def move(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        return [t.to(device, non_blocking=True) for t in tensors]

    crops = move(sample.get("crops", []))
    if "views" in sample:
        views = [normalize(v.float() / 255) for v in move(sample["views"])]
    else:
        parameters = sample["parameters"].to(device, non_blocking=True).unbind(1)
        views = [apply(crop, row) for crop, row in zip(crops, parameters)]
    drawn = {name: move(sample[name]) for name in sorted(sample.keys() - set(IMAGES))}
    if keep_crops:
        drawn["crops"] = [normalize(crop.float() / 255) for crop in crops]
    return Batch(views, drawn)
