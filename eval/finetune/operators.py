"""The compiled operators that Mask R-CNN and Faster R-CNN need from mmcv, supplied by torchvision.

mmcv's own extension takes long to build and does not build with every torch. The two detectors call three of its
operators: `nms`, `roi_align_forward` and `roi_align_backward`; torchvision ships the same computations for CPU and
CUDA. `install_operators()` must run before the first `import mmcv.ops`.
"""

import importlib.util
import sys
import types
from collections.abc import Callable
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from typing import Any

import torch
from torch import Tensor

from flsl.runtime.errors import UserError

EXTENSION = "mmcv._ext"
MOST_CELLS = 10_000  # of a map that `pool_regions_backward` takes


def install_operators() -> bool:
    """Make `mmcv._ext` importable where mmcv has no compiled extension.

    Returns:
        True if torchvision's operators are in use, False if mmcv has its own extension, which is left alone.

    Raises:
        UserError: mmcv is not installed.
    """
    if EXTENSION not in sys.modules:
        try:
            compiled = importlib.util.find_spec(EXTENSION)
        except ModuleNotFoundError as error:
            raise UserError(
                f"the detectors need mmcv and mmdet ({error}). Install them with: pip install -c constraints.txt '.[detection]'"
            ) from error
        if compiled is not None:
            return False
        loader = _TorchvisionLoader()
        module = importlib.util.module_from_spec(ModuleSpec(EXTENSION, loader, origin="torchvision"))
        loader.exec_module(module)
        # A real entry with a real spec: mmengine and mmcv ask find_spec and find_loader for it.
        sys.modules[EXTENSION] = module
        vars(sys.modules["mmcv"])["_ext"] = module
    return isinstance(getattr(sys.modules[EXTENSION].__spec__, "loader", None), _TorchvisionLoader)


class _TorchvisionLoader(Loader):
    """Fills the module with the three operators; every other name is a function that refuses."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create a plain module."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Put the operators in."""
        import torchvision  # noqa: F401  (registers torch.ops.torchvision)

        operators = {"nms": nms, "roi_align_forward": roi_align_forward, "roi_align_backward": roi_align_backward}
        vars(module).update(operators, __getattr__=_missing_operator)


def _missing_operator(name: str) -> Callable[..., Any]:
    """Stand in for an operator that torchvision does not supply: mmcv looks all of them up when it is imported."""
    if name.startswith("__"):
        raise AttributeError(name)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            f"mmcv operator {name!r} needs mmcv's compiled extension, which is not installed; torchvision supplies "
            "nms, roi_align_forward and roi_align_backward only. Build mmcv with MMCV_WITH_OPS=1 to use it."
        )

    return refuse


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices (K,) of the boxes kept, by falling score.

    Args:
        boxes: (N, 4) x1, y1, x2, y2.
        scores: (N,).
        iou_threshold: a box that overlaps a better one by more than this is dropped.
        offset: 0, or 1 for the old convention in which a box includes its last pixel (width = x2 - x1 + 1).
    """
    # Widening by the offset gives the same intersection and union as adding it to every width and height.
    boxes = boxes.float() + boxes.new_tensor([0, 0, offset, offset], dtype=torch.float32)
    return torch.ops.torchvision.nms(boxes, scores.float(), iou_threshold)


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, *maxima: Tensor, **settings: Any) -> None:
    """Write the average-pooled regions into `output`; the arguments are mmcv's.

    Args:
        input: (B, C, H, W) features.
        rois: (N, 5) image index, x1, y1, x2, y2 in image pixels.
        output: (N, C, aligned_height, aligned_width), filled here.
        maxima: used by maximum pooling only.
        settings: see `_pooling`.

    Raises:
        NotImplementedError: maximum pooling is asked for.
    """
    dtype = _kernel_dtype(input)
    output.copy_(torch.ops.torchvision.roi_align(input.to(dtype), rois.to(dtype), *_pooling(**settings)))


def roi_align_backward(
    grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor, **settings: Any
) -> None:
    """Write the gradient of `roi_align_forward`'s input into `grad_input` (B, C, H, W); arguments as there."""
    scale, rows, columns, sampling_ratio, aligned = _pooling(**settings)
    dtype, shape = _kernel_dtype(grad_output), grad_input.shape
    grad_output, rois = grad_output.to(dtype), rois.to(dtype)
    if grad_output.device.type == "cpu" and shape[2] * shape[3] <= MOST_CELLS:
        gradient = pool_regions_backward(grad_output, rois, shape, scale, sampling_ratio, aligned)
    else:
        gradient = torch.ops.torchvision._roi_align_backward(
            grad_output, rois, scale, rows, columns, *shape, sampling_ratio, aligned
        )
    grad_input.copy_(gradient)


def _pooling(
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,  # features per image pixel
    sampling_ratio: int,  # samples a bin and direction; 0 takes as many as the bin has feature cells
    pool_mode: int,  # 1 average; 0 (maximum) is refused
    aligned: bool,  # shift by half a cell, so that cell centers lie at .5
) -> tuple[float, int, int, int, bool]:
    """Return mmcv's settings in torchvision's order."""
    if pool_mode != 1:
        raise NotImplementedError(
            "roi_align with pool_mode='max' needs mmcv's compiled extension, which is not installed; torchvision "
            "supplies pool_mode='avg' only."
        )
    return spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned


def _kernel_dtype(tensor: Tensor) -> torch.dtype:
    """The kernels know float32, float64 and float16; bfloat16 is computed in float32."""
    return torch.float32 if tensor.dtype == torch.bfloat16 else tensor.dtype


def pool_regions_backward(
    gradient: Tensor, rois: Tensor, shape: torch.Size, scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Return the gradient of RoIAlign's input on a CPU, as matrix products; the same numbers as torchvision's kernel.

    Averaging bilinear samples over a bin is linear in the feature map and separable in y and x: a region's output is
    Y F X^T with one weight row per output row (Y) and column (X), so its gradient is Y^T G X. torchvision's CPU kernel adds
    up single samples instead, which takes two to five times as long on the small maps of small images; beyond `MOST_CELLS`
    the products touch too many cells that no region covers.

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
