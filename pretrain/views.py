"""What is drawn for one image: boxes of its views, flips, color changes, and whatever else its method needs."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from flsl.random_crop import Box
from pretrain.photometric import Photometric


@dataclass(frozen=True)
class Plan:
    """The views of one image before they are cut; one entry per view."""

    boxes: list[tuple[Box, int]]  # and the side that it is resized to, in pixels
    flips: list[bool]
    parameters: list[Photometric]
    nested: bool = False  # all views but the first are cut from the first
    drawn: dict[str, list[torch.Tensor]] = field(default_factory=dict)  # what else goes with the image, by name


def draw_flips(count: int, chance: float, random: np.random.Generator) -> list[bool]:
    """Draw which of `count` views are flipped; nothing is drawn where none can be."""
    return (random.random(count) < chance).tolist() if chance else [False] * count


def draw_paths(count: int, recipe: Any, random: np.random.Generator) -> dict[str, list[torch.Tensor]]:
    """Draw stochastic depth of `count` student views, `(depth, 2)` in 0..1 each, where the recipe has some: it goes with the
    image, whatever batch or rank that is in."""
    if not recipe.training.drop_path:
        return {}
    return {"paths": list(torch.from_numpy(random.random((count, recipe.encoder.depth, 2), dtype=np.float32)))}
