"""Photometric operations on a batch of views at once, on whatever device holds them."""

import torch
import torch.nn.functional as F

from pretrain.photometric import MAX_RADIUS, ORDERS, normalize

LUMA = (0.299, 0.587, 0.114)


def apply_batched(views: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Apply each view's parameters to it and normalize.

    Args:
        views: `(B, 3, H, W)` uint8 crops, on any device.
        parameters: `(B, 8)` from `as_tensor`, on the CPU, so that choosing rows needs no wait for the device.

    Returns:
        Normalized float views `(B, 3, H, W)`.
    """
    x = views.float() / 255
    device = x.device
    orders = torch.tensor(ORDERS)[parameters[:, 0].long().clamp_min(0)]
    jittered = parameters[:, 0] >= 0
    steps = (_brightness, _contrast, _saturation, _hue)
    for slot in range(4):
        for index, step in enumerate(steps):
            rows = torch.nonzero(jittered & (orders[:, slot] == index)).flatten()
            if len(rows):
                factor = parameters[rows, 1 + index].to(device, non_blocking=True)[:, None, None, None]
                where = rows.to(device, non_blocking=True)
                x[where] = step(x[where], factor)
    rows = torch.nonzero(parameters[:, 5]).flatten().to(device, non_blocking=True)
    x[rows] = _luma(x[rows]).expand(-1, 3, -1, -1)
    rows = torch.nonzero(parameters[:, 6]).flatten()
    if len(rows):
        where = rows.to(device, non_blocking=True)
        x[where] = _blur(x[where], parameters[rows, 6].to(device, non_blocking=True))
    rows = torch.nonzero(parameters[:, 7]).flatten().to(device, non_blocking=True)
    solarized = x[rows]
    x[rows] = torch.where(solarized >= 128 / 255, 1 - solarized, solarized)
    return normalize(x)


def _luma(x: torch.Tensor) -> torch.Tensor:
    r, g, b = x.unbind(1)
    return (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b).unsqueeze(1)


def _blend(x: torch.Tensor, base: torch.Tensor | float, factor: torch.Tensor) -> torch.Tensor:
    return (base + factor * (x - base)).clamp_(0, 1)


def _brightness(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return (x * factor).clamp_(0, 1)


def _contrast(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return _blend(x, _luma(x).mean((1, 2, 3), keepdim=True), factor)


def _saturation(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return _blend(x, _luma(x), factor)


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
    """Blur each image with its own Gaussian, separably; borders repeat the edge pixel."""
    half = int(3 * MAX_RADIUS)
    offsets = torch.arange(-half, half + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / radius[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # (3 B, 2 half + 1)
    batch, _, height, width = x.shape
    x = x.reshape(1, 3 * batch, height, width)
    x = F.conv2d(F.pad(x, (half, half, 0, 0), "replicate"), kernel[:, None, None, :], groups=3 * batch)
    x = F.conv2d(F.pad(x, (0, 0, half, half), "replicate"), kernel[:, None, :, None], groups=3 * batch)
    return x.reshape(batch, 3, height, width)
