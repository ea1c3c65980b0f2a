"""Color, blur and solarization of the views: the draw of parameters, which three paths apply alike.

Each view, the teacher's too: color jitter (0.4, 0.4, 0.2, 0.1) with p = 0.8 in random order; grayscale with p = 0.2;
then with equal chance blur (p = 0.5), or blur (p = 0.1) and solarize (p = 0.2); blur radius uniform in [0.1, 2.0]
(docs/method.md, "Views"). `pretrain.apply_batched` works on the device, `apply_opencv` in CPU workers, `apply_pil` is
the plain path that both are held equal to.
"""

from dataclasses import astuple, dataclass
from itertools import permutations

import numpy as np
import torch

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
ORDERS = tuple(permutations(range(4)))  # of brightness, contrast, saturation, hue
MAX_RADIUS = 2.0
FINISHES = ((0.5, 0.0), (0.1, 0.2))


@dataclass(frozen=True)
class Photometric:
    """What is done to one view. `order` indexes `ORDERS`, -1 is no jitter; `blur` is a radius, 0 is none."""

    order: int
    brightness: float
    contrast: float
    saturation: float
    hue: float  # share of the color circle, -0.5..0.5
    gray: bool
    blur: float
    solarize: bool


def draw_photometric(
    random: np.random.Generator, strength: float = 1.0, finish: tuple[float, float] | None = None
) -> Photometric:
    """Draw the parameters of one view; `strength` multiplies the ranges of the color jitter, `finish` are the chances of blur
    and of solarization (None: either of `FINISHES`)."""
    order = int(random.integers(len(ORDERS))) if random.random() < 0.8 else -1
    middle, reach = np.array((1, 1, 1, 0)), np.array((0.4, 0.4, 0.2, 0.1)) * strength
    brightness, contrast, saturation, hue = random.uniform(middle - reach, middle + reach).tolist()
    gray = bool(random.random() < 0.2)
    blurs, solarizes = finish or FINISHES[int(random.random() >= 0.5)]
    blurred = random.random() < blurs
    radius = random.uniform(0.1, MAX_RADIUS)
    solarize = bool(solarizes and random.random() < solarizes)
    blur = float(radius) if blurred else 0.0
    return Photometric(order, brightness, contrast, saturation, hue, gray, blur, solarize)


def as_tensor(parameters: list[Photometric]) -> torch.Tensor:
    """Pack parameters into a `(B, 11)` float tensor, the form in which workers hand them over: which of brightness,
    contrast, saturation, hue comes first to fourth (-1: none), their factors, gray, blur, solarize."""
    rows = [(*(ORDERS[p.order] if p.order >= 0 else (-1,) * 4), *astuple(p)[1:]) for p in parameters]
    return torch.tensor(rows, dtype=torch.float32)


def normalize(views: torch.Tensor) -> torch.Tensor:
    """Subtract ImageNet's mean and divide by its standard deviation; `(..., 3, H, W)` in 0..1."""
    return (views - _channels(MEAN, views)) / _channels(STD, views)


def _channels(values: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
    """Return `(C, 1, 1)` numbers, made on the device: an upload would wait for all that is queued there."""
    return torch.cat([torch.full((1, 1, 1), value, device=like.device, dtype=torch.float32) for value in values])
