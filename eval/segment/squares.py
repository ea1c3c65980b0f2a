"""Evaluated images squashed to a square: what most frozen protocols encode, and share in the store of tokens."""

from typing import Any

from torch import Tensor

from eval.normalization import Channels, normalize
from eval.segment.crops import squash
from eval.segment.datasets import Split
from eval.segment.task import Task
from eval.segment.tokens import Pictures


def square_identity(split: Split, side: int, mean: Channels, std: Channels) -> dict[str, Any]:
    """Return what tells a split's images, made into squares, from others."""
    return {"side": side, "mean": mean, "std": std, "data": split.digest(), "split": split.name}


def square_pictures(task: Task, mean: Channels | None = None, std: Channels | None = None) -> Pictures:
    """Return the evaluated images as the protocol encodes them, normalized as the encoder asks for unless it says how."""
    config, val, side = task.loaded.encoder.config, task.val, task.side
    mean, std = mean or config.image_mean, std or config.image_std

    def load(image: int) -> Tensor:
        return normalize(squash(val.image(image), (side, side)), mean, std)

    return Pictures(val.name, square_identity(val, side, mean, std), len(val), load, task.grid)
