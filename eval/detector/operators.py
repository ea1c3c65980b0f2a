"""The compiled operators that Mask R-CNN and Faster R-CNN need from mmcv, supplied by torchvision.

mmcv's own extension takes long to build and does not build with every torch. The two detectors call three of its
operators: `nms`, `roi_align_forward` and `roi_align_backward`; torchvision ships the same computations for CPU and
CUDA (architecture.md, "OpenMMLab"). `install_operators()` must run before the first `import mmcv.ops`.
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

from eval.detector.roi_align import MOST_CELLS, pool_regions_backward
from flsl.runtime.errors import UserError

EXTENSION = "mmcv._ext"


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
        spec = ModuleSpec(EXTENSION, _TorchvisionLoader(), origin="torchvision")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        # A real entry with a real spec: mmengine and mmcv ask find_spec and find_loader for it.
        sys.modules[EXTENSION] = module
        sys.modules["mmcv"]._ext = module
    return isinstance(sys.modules[EXTENSION].__spec__.loader, _TorchvisionLoader)


class _TorchvisionLoader(Loader):
    """Fills the module with the three operators; every other name is a function that refuses."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create a plain module."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Put the operators in."""
        import torchvision  # noqa: F401  (registers torch.ops.torchvision)

        module.nms = nms
        module.roi_align_forward = roi_align_forward
        module.roi_align_backward = roi_align_backward
        module.__getattr__ = _missing_operator


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


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the average-pooled regions into `output`; the arguments are mmcv's.

    Args:
        input: (B, C, H, W) features.
        rois: (N, 5) image index, x1, y1, x2, y2 in image pixels.
        output: (N, C, aligned_height, aligned_width), filled here.
        argmax_y: used by maximum pooling only.
        argmax_x: likewise.
        aligned_height: output height.
        aligned_width: output width.
        spatial_scale: features per image pixel.
        sampling_ratio: samples a bin and direction; 0 takes as many as the bin has feature cells.
        pool_mode: 1 average; 0 (maximum) is refused.
        aligned: shift by half a cell, so that cell centers lie at .5.

    Raises:
        NotImplementedError: `pool_mode` is 0.
    """
    _require_average(pool_mode)
    # The kernels know float32, float64 and float16; bfloat16 is computed in float32.
    dtype = _kernel_dtype(input)
    pooled = torch.ops.torchvision.roi_align(
        input.to(dtype), rois.to(dtype), spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
    )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the gradient of `roi_align_forward`'s input into `grad_input` (B, C, H, W); arguments as there.

    Raises:
        NotImplementedError: `pool_mode` is 0.
    """
    _require_average(pool_mode)
    dtype = _kernel_dtype(grad_output)
    grad_output, rois = grad_output.to(dtype), rois.to(dtype)
    height, width = grad_input.shape[2:]
    if grad_output.device.type == "cpu" and height * width <= MOST_CELLS:
        gradient = pool_regions_backward(grad_output, rois, grad_input.shape, spatial_scale, sampling_ratio, aligned)
    else:
        gradient = torch.ops.torchvision._roi_align_backward(
            grad_output,
            rois,
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    grad_input.copy_(gradient)


def _kernel_dtype(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.dtype == torch.bfloat16 else tensor.dtype


def _require_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise NotImplementedError(
            "roi_align with pool_mode='max' needs mmcv's compiled extension, which is not installed; torchvision "
            "supplies pool_mode='avg' only."
        )
