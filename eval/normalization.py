"""Pixels as encoders take them: with the mean and the standard deviation of pretraining taken out."""

import torch

Channels = tuple[float, float, float]  # RGB, of values in 0..1


def normalize(image: torch.Tensor, mean: Channels, std: Channels) -> torch.Tensor:
    """Return `(..., 3, H, W)` in 0..255 as float32 with a mean and a standard deviation taken out."""
    center, scale = (torch.tensor(values, device=image.device).view(3, 1, 1) for values in (mean, std))
    return (image.float() / 255 - center) / scale
