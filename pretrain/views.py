"""What is drawn for one image: boxes of its views, flips, color changes, and whatever else its method needs."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from flsl.random_crop import Box, draw_box
from flsl.runtime.schema import Pixels, Share, section
from pretrain.photometric import Photometric, draw_photometric
from pretrain.recipe import Area, Strength, Views


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


@section
class GlobalViews(Views):
    """Two views of the whole image, each cut from it: the first is blurred always, the second seldom, and sometimes
    solarized, as BYOL draws them."""

    global_scale: tuple[Area, Area] = (0.4, 1.0)
    flip: Share = 0.5
    strength: Strength = 1.0


@section
class MultiCrop(GlobalViews):
    """Beside them some local views, which are small and of a small part, blurred every second time."""

    local_size: Pixels = 96
    n_local: Annotated[int, Field(ge=0, le=100)] = 8
    local_scale: tuple[Area, Area] = (0.05, 0.4)


def plan_crops(recipe: Any, width: int, height: int, random: np.random.Generator) -> Plan:
    """Draw the views of `GlobalViews` or `MultiCrop` of an image; the global ones first."""
    views = recipe.views
    kinds = [(views.global_scale, views.global_size, finish) for finish in ((1.0, 0.0), (0.1, 0.2))]
    if isinstance(views, MultiCrop):
        kinds += [(views.local_scale, views.local_size, (0.5, 0.0))] * views.n_local
    boxes = [(draw_box(width, height, scale, random), side) for scale, side, _ in kinds]
    flips = draw_flips(len(kinds), views.flip, random)
    parameters = [draw_photometric(random, views.strength, finish) for *_, finish in kinds]
    return Plan(boxes, flips, parameters, drawn=draw_paths(len(kinds), recipe, random))
