"""The gradient of RoIAlign on a CPU, as matrix products.

Averaging bilinear samples over a bin is linear in the feature map and separable in y and x: a region's output is
Y F X^T with one weight row per output row (Y) and column (X), so its gradient is Y^T G X. torchvision's CPU kernel adds
up single samples instead, which takes two to five times as long on the small maps of small images.
"""

import torch
from torch import Tensor

MOST_CELLS = 10_000  # of a map; beyond it the products touch too many cells that no region covers


def pool_regions_backward(
    gradient: Tensor, rois: Tensor, shape: torch.Size, scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Return the gradient of RoIAlign's input; the same numbers as torchvision's kernel.

    Args:
        gradient: (N, C, rows, columns), of the output.
        rois: (N, 5) image index, x1, y1, x2, y2 in image pixels.
        shape: (B, C, H, W), of the input.
        scale: features per image pixel.
        sampling_ratio: samples a bin and direction; 0 takes as many as the bin has feature cells.
        aligned: shift by half a cell.
    """
    batch, channels, height, width = shape
    corners = rois[:, 1:] * scale - (0.5 if aligned else 0.0)
    lengths = corners[:, 2:] - corners[:, :2]
    if not aligned:
        lengths = lengths.clamp(min=1.0)
    columns = _weights(corners[:, 0], lengths[:, 0], gradient.shape[3], width, sampling_ratio)
    rows = _weights(corners[:, 1], lengths[:, 1], gradient.shape[2], height, sampling_ratio)
    gradient = gradient.permute(0, 2, 3, 1)  # (N, rows, columns, C)
    result = gradient.new_zeros(batch, height, width, channels)
    images = rois[:, 0].long()
    for image in images.unique().tolist():
        index = (images == image).nonzero()[:, 0]
        bands = columns[index].transpose(1, 2)[:, None] @ gradient[index]  # (n, rows, W, C)
        total = rows[index].flatten(0, 1).T @ bands.reshape(-1, width * channels)
        result[image] = total.view(height, width, channels)
    return result.permute(0, 3, 1, 2)


def _weights(start: Tensor, length: Tensor, bins: int, cells: int, sampling_ratio: int) -> Tensor:
    """Return (N, bins, cells): how much each cell of one axis counts in the mean over a bin's samples."""
    size = length / bins
    count = torch.ceil(size) if sampling_ratio <= 0 else torch.full_like(size, sampling_ratio)
    most = int(count.max()) if len(count) else 0
    samples = torch.arange(most, device=start.device, dtype=start.dtype)
    numbers = torch.arange(bins, device=start.device, dtype=start.dtype)
    within = (samples + 0.5) * (size / count.clamp(min=1))[:, None]  # (N, samples)
    at = start[:, None, None] + numbers[:, None] * size[:, None, None] + within[:, None]  # (N, bins, samples)
    # A sample more than a cell outside the map counts as 0; nearer ones take the border cell.
    valid = (samples < count[:, None])[:, None] & (at >= -1) & (at <= cells)
    share = valid / count.clamp(min=1)[:, None, None]
    at = at.clamp(0, cells - 1)
    low = at.long()
    weights = start.new_zeros(len(start), bins, cells)
    weights.scatter_add_(2, low, share * (1 - (at - low)))
    weights.scatter_add_(2, (low + 1).clamp(max=cells - 1), share * (at - low))
    return weights
