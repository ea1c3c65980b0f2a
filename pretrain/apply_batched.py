"""Photometric operations on a batch of views at once, on whatever device holds them.

Every operation runs on the whole batch and is kept where a view asks for it: nothing depends on numbers that the host
would have to wait for, and a compiler makes a few kernels of it.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from pretrain.photometric import MAX_RADIUS, normalize

LUMA = (0.299, 0.587, 0.114)
Compile = Callable[[Callable[..., torch.Tensor]], Callable[..., torch.Tensor]]


class ApplyBatched:
    """Applies each view's parameters to it and normalizes; `compile` may make its parts faster."""

    def __init__(self, compile: Compile = lambda function: function):
        self.jitter, self.finish = compile(_jitter), compile(_finish)

    def __call__(self, views: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        """Return normalized float views `(B, 3, H, W)`.

        Args:
            views: `(B, 3, H, W)` uint8 crops.
            parameters: `(B, 11)` from `as_tensor`, on the same device.
        """
        x = views.float() / 255
        columns = parameters[:, :, None, None, None].unbind(1)  # (B, 1, 1, 1) each
        factors, (gray, radius, solarize) = columns[4:8], columns[8:]
        for step in columns[:4]:
            x = self.jitter(x, step, *factors)
        x = _blur(torch.where(gray > 0, _luma(x), x), radius)
        return self.finish(x, solarize)


def _jitter(
    x: torch.Tensor,
    step: torch.Tensor,
    brightness: torch.Tensor,
    contrast: torch.Tensor,
    saturation: torch.Tensor,
    hue: torch.Tensor,
) -> torch.Tensor:
    """Apply one of four operations, by the order in which they are named, or with a negative `step` none."""
    luma = _luma(x)
    # Brightness, contrast and saturation move a pixel away from black, from the mean gray, from its own gray.
    base = torch.where(step == 1, luma.mean((1, 2, 3), keepdim=True), torch.where(step == 2, luma, 0.0))
    factor = torch.where(step == 0, brightness, torch.where(step == 1, contrast, saturation))
    blended = (base + factor * (x - base)).clamp(0, 1)
    return torch.where(step == 3, _hue(x, hue), torch.where(step < 0, x, blended))


def _finish(x: torch.Tensor, solarize: torch.Tensor) -> torch.Tensor:
    return normalize(torch.where((solarize > 0) & (x >= 128 / 255), 1 - x, x))


def _luma(x: torch.Tensor) -> torch.Tensor:
    r, g, b = x.unbind(1)
    return (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b).unsqueeze(1)


def _hue(x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Turn the hue of RGB images through HSV."""
    r, g, b = x.unbind(1)
    value, chroma = x.amax(1), x.amax(1) - x.amin(1)
    safe = chroma.clamp_min(1e-12)
    sector = torch.where(value == r, (g - b) / safe, torch.where(value == g, 2 + (b - r) / safe, 4 + (r - g) / safe))
    sector = sector + 6 * shift[:, 0]
    channels = []
    for offset in (5, 3, 1):  # of red, green, blue
        k = (sector + offset) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, 1)


def _blur(x: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Blur each image with its own Gaussian, separably; borders repeat the edge pixel. Radius 0 leaves it as it is."""
    half = int(3 * MAX_RADIUS)
    offsets = torch.arange(-half, half + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / radius[:, 0, 0].clamp_min(1e-6)) ** 2)  # (B, 2 half + 1)
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None].expand(-1, 3, -1).flatten(0, 1)  # (3 B, ...)
    batch, _, height, width = x.shape
    x = x.reshape(1, 3 * batch, height, width)
    x = F.conv2d(F.pad(x, (half, half, 0, 0), "replicate"), kernel[:, None, None, :], groups=3 * batch)
    x = F.conv2d(F.pad(x, (0, 0, half, half), "replicate"), kernel[:, None, :, None], groups=3 * batch)
    return x.reshape(batch, 3, height, width)


apply_batched = ApplyBatched()
