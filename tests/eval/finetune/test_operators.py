"""mmcv's operators by torchvision against plain references, called through mmcv's own functions."""

import importlib.util
import math
import sys

import numpy as np
import pytest
import torch
from support.packages import need

from eval.finetune.operators import install_operators, pool_regions_backward

need("mmengine", "mmcv")
install_operators()

import mmcv  # noqa: E402
from mmcv.ops import batched_nms, nms, roi_align, soft_nms  # noqa: E402
from mmengine.utils.dl_utils.misc import mmcv_full_available  # noqa: E402


def plain_nms(boxes, scores, threshold, offset):
    """Greedy suppression, box by box."""
    kept, order = [], np.argsort(-scores, kind="stable")
    for index in order:
        x1, y1, x2, y2 = boxes[index]
        for other in kept:
            u1, v1, u2, v2 = boxes[other]
            width = max(min(x2, u2) - max(x1, u1) + offset, 0)
            height = max(min(y2, v2) - max(y1, v1) + offset, 0)
            area = (x2 - x1 + offset) * (y2 - y1 + offset) + (u2 - u1 + offset) * (v2 - v1 + offset)
            if width * height / (area - width * height) > threshold:
                break
        else:
            kept.append(index)
    return kept


def plain_roi_align(features, rois, size, scale, ratio, aligned):
    """Average of bilinear samples, sample by sample (Mask R-CNN, section 3)."""
    _, _, height, width = features.shape
    bins = []
    for roi in rois.tolist():
        image = features[int(roi[0])]
        x1, y1, x2, y2 = (value * scale - (0.5 if aligned else 0.0) for value in roi[1:])
        roi_width, roi_height = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1.0), max(y2 - y1, 1.0))
        across = ratio or math.ceil(roi_width / size)
        down = ratio or math.ceil(roi_height / size)
        for row in range(size):
            for column in range(size):
                total = torch.zeros(features.shape[1], dtype=features.dtype)
                for i in range(down):
                    for j in range(across):
                        y = y1 + (row + (i + 0.5) / down) * roi_height / size
                        x = x1 + (column + (j + 0.5) / across) * roi_width / size
                        if not (-1 <= y <= height and -1 <= x <= width):
                            continue
                        y, x = max(y, 0.0), max(x, 0.0)
                        low_y, low_x = min(int(y), height - 1), min(int(x), width - 1)
                        high_y, high_x = min(low_y + 1, height - 1), min(low_x + 1, width - 1)
                        dy = y - low_y if low_y < height - 1 else 0.0
                        dx = x - low_x if low_x < width - 1 else 0.0
                        total = total + (
                            image[:, low_y, low_x] * (1 - dy) * (1 - dx)
                            + image[:, low_y, high_x] * (1 - dy) * dx
                            + image[:, high_y, low_x] * dy * (1 - dx)
                            + image[:, high_y, high_x] * dy * dx
                        )
                bins.append(total / max(down * across, 1))
    return torch.stack(bins).reshape(len(rois), size, size, -1).permute(0, 3, 1, 2)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_nms_equals_plain_suppression(offset, threshold, device):
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(0, 40, (120, 2)), rng.uniform(1, 30, (120, 2))
    boxes, scores = np.hstack([corner, corner + size]).astype(np.float32), rng.permutation(120).astype(np.float32)
    kept, index = nms(torch.tensor(boxes).to(device), torch.tensor(scores).to(device), threshold, offset=offset)
    assert index.tolist() == plain_nms(boxes, scores, threshold, offset)
    np.testing.assert_array_equal(kept[:, 4].cpu(), scores[index.cpu()])


def test_nms_of_nothing_and_in_half_precision():
    kept, index = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.shape == (0, 5)
    assert index.shape == (0,)
    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]], dtype=torch.bfloat16)
    scores = torch.tensor([0.5, 0.75, 0.25], dtype=torch.bfloat16)
    assert nms(boxes, scores, 0.5)[1].tolist() == [1, 2]


def test_batched_nms_keeps_classes_apart(device):
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 9, 10]], device=device)
    scores, classes = torch.tensor([0.9, 0.8, 0.7], device=device), torch.tensor([0, 1, 0], device=device)
    _, index = batched_nms(boxes, scores, classes, {"type": "nms", "iou_threshold": 0.5})
    assert index.tolist() == [0, 1]


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_and_its_gradient_equal_the_plain_sum(aligned, ratio, device):
    torch.manual_seed(0)
    features = torch.randn(2, 3, 7, 9, dtype=torch.float64).to(device).requires_grad_()
    # Inside, over the edge, far outside, thinner than a cell, without area.
    rois = [[0, 2, 3, 20, 17], [1, -6, -9, 12, 30], [0, 90, 90, 120, 99], [1, 5, 5, 5.5, 20], [1, 8, 8, 8, 8]]
    rois = torch.tensor(rois, dtype=torch.float64)
    plain = features.detach().cpu().clone().requires_grad_()
    expected = plain_roi_align(plain, rois, 3, 0.25, ratio, aligned)
    found = roi_align(features, rois.to(device), 3, 0.25, ratio, "avg", aligned)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-12)
    weights = torch.randn_like(expected)
    (found * weights.to(device)).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(features.grad.cpu(), plain.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_the_gradient_by_matrix_products_equals_torchvisions_kernel(aligned, ratio):
    torch.manual_seed(0)
    shape, size, scale = torch.Size((3, 5, 24, 32)), (7, 14), 0.25
    center, side = torch.rand(60, 2) * torch.tensor([128.0, 96]), torch.rand(60, 2) * 90
    corners = torch.cat([center - side / 2, center + side / 2], dim=1)
    rois = torch.cat([torch.randint(0, 2, (60, 1)).float(), corners], dim=1).double()  # the third image has none
    gradient = torch.randn(60, 5, *size, dtype=torch.float64)
    found = pool_regions_backward(gradient, rois, shape, scale, ratio, aligned)
    kernel = torch.ops.torchvision._roi_align_backward
    expected = kernel(gradient, rois, scale, *size, *shape, ratio, aligned)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def test_roi_align_of_nothing_has_shape_and_gradient():
    features = torch.randn(2, 4, 5, 5, requires_grad=True)
    pooled = roi_align(features, torch.zeros(0, 5), (7, 7), 0.5, 0, "avg", True)
    assert pooled.shape == (0, 4, 7, 7)
    pooled.sum().backward()
    assert features.grad.abs().sum() == 0


def test_roi_align_in_bfloat16_is_computed_in_float32(device):
    features = torch.randn(1, 2, 8, 8).to(device).bfloat16()
    rois = torch.tensor([[0, 2.0, 2, 24, 24]], device=device).bfloat16()
    expected = roi_align(features.float(), rois.float(), 3, 0.25, 2, "avg", True).bfloat16()
    assert torch.equal(roi_align(features, rois, 3, 0.25, 2, "avg", True), expected)


def test_what_torchvision_lacks_is_refused_by_name():
    with pytest.raises(NotImplementedError, match="softnms"):
        soft_nms(torch.rand(3, 4), torch.rand(3))
    with pytest.raises(NotImplementedError, match="pool_mode='max'"):
        roi_align(torch.randn(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 4, 4]]), 2, 1.0, 0, "max", True)


def test_the_extension_is_found_as_a_real_module():
    spec = importlib.util.find_spec("mmcv._ext")
    assert spec is sys.modules["mmcv._ext"].__spec__
    assert spec.loader is not None
    assert mmcv_full_available()


def test_a_compiled_extension_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "_ext.py").write_text("compiled = True\n")
    monkeypatch.delitem(sys.modules, "mmcv._ext")
    monkeypatch.setattr(mmcv, "_ext", mmcv._ext)
    monkeypatch.setattr(mmcv, "__path__", [*mmcv.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    assert install_operators() is False
    assert importlib.import_module("mmcv._ext").compiled
    assert install_operators() is False
