"""`davis2017/dinov3` against a plain computation of what DINOv3's public notebook does."""

import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

from eval.davis.protocols import PROTOCOLS
from eval.propagation.follow import Context
from eval.propagation.frames import read_frame
from eval.propagation.labels import first_labels, labels_to_mask
from eval.propagation.plain import normalize, propagate_plain
from eval.propagation.tiled import propagate

DINOV3 = PROTOCOLS["dinov3"]


def rounded_up(side, patch):
    return math.ceil(side / patch) * patch


@pytest.mark.parametrize("size", [(480, 854), (854, 480), (240, 240), (1080, 1920), (240, 433)])
@pytest.mark.parametrize("patch", [16, 14])
def test_frames_are_resized_to_what_holds_them(size, patch, tmp_path):
    height, width = size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "frame.png"), image[:, :, ::-1])
    short = rounded_up(960, patch)
    if width > height:
        expected = short, rounded_up(width * short / height, patch)
    else:
        expected = rounded_up(height * short / width, patch), short
    resized = functional.resize(Image.fromarray(image), list(expected), InterpolationMode.BICUBIC)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    plain = functional.normalize(functional.to_tensor(resized), mean, std)
    frame = read_frame(tmp_path / "frame.png", DINOV3, patch)
    assert frame.shape == (3, *expected)
    torch.testing.assert_close(frame, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("size", "grid"), [((480, 854), (60, 107)), ((213, 120), (107, 60)), ((40, 30), (60, 45))])
def test_masks_become_labels_and_labels_masks_by_the_nearest_token(size, grid):
    rng = np.random.default_rng(1)
    mask = cv2.resize(rng.integers(0, 4, (9, 16), dtype=np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    mask[0, 0] = 3
    labels = first_labels(mask, grid, (960, 960), DINOV3)
    tokens = F.interpolate(torch.from_numpy(mask)[None, None].float(), grid, mode="nearest-exact")[0, 0].long()
    torch.testing.assert_close(labels, F.one_hot(tokens).float())
    soft = rng.dirichlet(np.full(4, 0.3), grid).astype(np.float32)
    rows, columns = (np.arange(n) * tokens // n for n, tokens in zip(size, grid))  # torch's nearest: corners of pixels
    large = soft[rows][:, columns]
    low, high = large.min(axis=(0, 1)), large.max(axis=(0, 1))
    plain = ((large - low) / (high - low)).argmax(-1)
    np.testing.assert_array_equal(labels_to_mask(torch.from_numpy(soft), 16, size, DINOV3), plain)


def test_a_channel_that_is_the_same_everywhere_loses():
    labels = torch.tensor([0.0, 1.0]).expand(3, 4, 2).contiguous()
    assert (labels_to_mask(labels, 8, (24, 32), DINOV3) == 0).all()
    assert (labels_to_mask(labels, 8, (24, 32), PROTOCOLS["dino"]) == 1).all()


@pytest.mark.parametrize("form", [propagate_plain, propagate])
def test_a_video_is_followed_in_a_disk_with_its_border(form, device):
    height, width = 15, 28
    generator = torch.Generator().manual_seed(0)
    drift = torch.randn(10, height, width, 8, generator=generator, dtype=torch.float64)
    features = normalize(
        torch.randn(height, width, 8, generator=generator, dtype=torch.float64) + 0.3 * drift.cumsum(0)
    )
    first = torch.rand(height, width, 3, generator=generator, dtype=torch.float64).softmax(-1)
    place = torch.from_numpy(np.stack(np.divmod(np.arange(height * width), width), axis=1)).double()
    outside = torch.cdist(place, place) > 12 + 1e-9
    expected, context = [first.flatten(0, 1)], Context(features[0].to(device), first.to(device), DINOV3)
    for index in range(1, len(features)):
        sources = [0, *range(max(1, index - 7), index)]
        cosines = torch.stack([features[index].flatten(0, 1) @ features[s].flatten(0, 1).T for s in sources], dim=1)
        cosines = cosines.masked_fill(outside[:, None], -torch.inf).flatten(1)  # (target tokens, sources)
        cosines[cosines < cosines.topk(5, dim=1).values[:, -1:]] = -torch.inf
        expected.append(torch.softmax(cosines / 0.2, dim=1) @ torch.cat([expected[s] for s in sources]))
        target = features[index].to(device)
        labels = form(target, *context.view(), DINOV3, context.repeats)
        context.add(target, labels)
        torch.testing.assert_close(labels.flatten(0, 1).cpu(), expected[index], atol=1e-9, rtol=0)
