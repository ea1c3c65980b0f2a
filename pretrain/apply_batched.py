"""Photometric operations on a batch of views at once, on whatever device holds them.

Every operation runs on the whole batch and is kept where a view asks for it: nothing depends on numbers that the host
would have to wait for, and a compiler makes a handful of kernels of it.
"""

import torch
import torch.nn.functional as F

from pretrain.photometric import MAX_RADIUS, normalize

LUMA = (0.299, 0.587, 0.114)


def apply_batched(views: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Apply each view's parameters to it and normalize.

    Args:
        views: `(B, 3, H, W)` uint8 crops.
        parameters: `(B, 11)` from `as_tensor`, on the same device.

    Returns:
        Normalized float views `(B, 3, H, W)`.
    """
    x = views.float() / 255
    columns = parameters[:, :, None, None, None].unbind(1)  # (B, 1, 1, 1) each
    slots, (brightness, contrast, saturation, hue), (gray, radius, solarize) = columns[:4], columns[4:8], columns[8:]
    for step in slots:
        luma = _luma(x)
        # Brightness, contrast and saturation move a pixel away from black, from the mean gray, from its own gray.
        base = torch.where(step == 1, luma.mean((1, 2, 3), keepdim=True), torch.where(step == 2, luma, 0.0))
        factor = torch.where(step == 0, brightness, torch.where(step == 1, contrast, saturation))
        blended = (base + factor * (x - base)).clamp(0, 1)
        x = torch.where(step == 3, _hue(x, hue), torch.where(step < 0, x, blended))
    x = torch.where(gray > 0, _luma(x), x)
    x = _blur(x, radius)
    x = torch.where((solarize > 0) & (x >= 128 / 255), 1 - x, x)
    return normalize(x)


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
    kernel = torch.exp(-0.5 * (offsets / radius[..., None].clamp_min(1e-6)) ** 2)  # (B, 1, 1, 1, 2 half + 1)
    weights = (kernel / kernel.sum(-1, keepdim=True)).unbind(-1)
    for axis, border in ((3, (half, half, 0, 0)), (2, (0, 0, half, half))):
        padded, size = F.pad(x, border, "replicate"), x.shape[axis]
        x = weights[0] * padded.narrow(axis, 0, size)
        for place in range(1, 2 * half + 1):
            x = x + weights[place] * padded.narrow(axis, place, size)
    return x
