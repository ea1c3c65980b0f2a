"""Propagation as the contrastive random walk's public code does it, against a plain computation over padded videos."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from eval.data.synthesize import synthesize
from eval.davis.protocols import PROTOCOLS
from eval.jhmdb.protocols import PROTOCOLS as JHMDB
from eval.propagation.follow import Context
from eval.propagation.frames import read_frame
from eval.propagation.labels import first_labels, labels_to_mask
from eval.propagation.plain import normalize, propagate_plain
from eval.propagation.segment import segment_video
from eval.propagation.tiled import propagate
from eval.vip.data import open_vip
from eval.vip.protocols import PROTOCOLS as VIP
from flsl.checkpoint import load_encoder

WALKS = [replace(PROTOCOLS["videowalk"], radius=4, context_frames=5, topk=6), PROTOCOLS["cropmae"]]
HEIGHT, WIDTH, CHANNELS = 9, 12, 3


def walk(features, first, *, context, radius, topk, temperature):
    """Labels (frames, h w, C) of all frames: the video is preceded by `context` copies of its first frame, and the first
    frame votes once more, without a window. Loops over frames and tokens."""
    frames, height, width, _ = features.shape
    padded = torch.cat([features[:1].expand(context, -1, -1, -1), features]).flatten(1, 2)
    labels = torch.zeros(context + frames, height * width, first.shape[-1], dtype=features.dtype)
    labels[: context + 1] = first.flatten(0, 1)
    place = np.stack(np.divmod(np.arange(height * width), width), axis=1)
    near = torch.from_numpy(np.sqrt(((place[:, None] - place) ** 2).sum(-1)) < radius)
    for frame in range(1, frames):
        sources = [0, *range(frame, frame + context)]
        for token in range(height * width):
            cosines = torch.stack([padded[source] @ padded[frame + context, token] for source in sources])
            cosines[1:, ~near[token]] = -torch.inf
            best, chosen = cosines.flatten().topk(topk)
            weights = torch.softmax(best / temperature, dim=0)
            labels[frame + context, token] = weights @ labels[sources].flatten(0, 1)[chosen]
    return labels[context:]


@pytest.mark.parametrize("form", [propagate_plain, propagate])
@pytest.mark.parametrize("protocol", WALKS, ids=["small", "cropmae"])
def test_a_video_is_followed_as_over_copies_of_its_first_frame(protocol, form, device):
    generator = torch.Generator().manual_seed(0)
    drift = torch.randn(9, HEIGHT, WIDTH, 8, generator=generator, dtype=torch.float64)
    features = normalize(
        torch.randn(HEIGHT, WIDTH, 8, generator=generator, dtype=torch.float64) + 0.3 * drift.cumsum(0)
    )
    first = torch.rand(HEIGHT, WIDTH, CHANNELS, generator=generator, dtype=torch.float64).softmax(-1)
    constants = {"radius": protocol.radius, "topk": protocol.topk, "temperature": protocol.temperature}
    expected = walk(features, first, context=protocol.context_frames, **constants)
    features, context = features.to(device), None
    for index, target in enumerate(features):
        if context is None:
            context = Context(target, first.to(device), protocol)
            continue
        labels = form(target, *context.view(), protocol, context.repeats)
        context.add(target, labels)
        torch.testing.assert_close(labels.flatten(0, 1).cpu(), expected[index], atol=1e-9, rtol=0)
    assert context is not None
    assert context.repeats == max(0, protocol.context_frames - 8)


@pytest.mark.parametrize(
    ("protocol", "key", "frames", "radius", "topk", "temperature"),
    [
        (PROTOCOLS["videowalk"], "videowalk@3", 20, 12, 10, 0.05),
        (PROTOCOLS["cropmae"], "cropmae@1", 20, 20, 7, 0.7),
        (VIP["videowalk"], "videowalk@1", 20, 12, 10, 0.05),
        (VIP["cropmae"], "cropmae@1", 20, 20, 10, 0.7),
        (JHMDB["videowalk"], "videowalk@1", 20, 12, 10, 0.05),
        (JHMDB["cropmae"], "cropmae@1", 20, 20, 7, 0.7),
    ],
)
def test_constants_are_those_of_the_public_code(protocol, key, frames, radius, topk, temperature):
    assert protocol.key("x") == f"x/{key}"
    assert (protocol.context_frames, protocol.radius, protocol.topk) == (frames, radius, topk)
    assert protocol.temperature == temperature
    assert (protocol.padded, protocol.window, protocol.window_on_first_frame) == (True, "open circle", False)
    assert (protocol.first_mask, protocol.ties, protocol.stretched) == ("bilinear", "cut", "none")
    tokens = {"cropmae": 5, "videowalk": 3}[protocol.name]  # that a joint is the mean of
    assert getattr(protocol, "tokens", tokens) == tokens


def test_repeats_count_once_where_the_context_is_full():
    context = Context(torch.zeros(2, 2, 4), torch.zeros(2, 2, 2), WALKS[0])
    seen = [context.repeats]
    for _ in range(7):
        context.add(torch.zeros(2, 2, 4), torch.zeros(2, 2, 2))
        seen.append(context.repeats)
    assert seen == [5, 4, 3, 2, 1, 0, 0, 0]
    assert Context(torch.zeros(2, 2, 4), torch.zeros(2, 2, 2), PROTOCOLS["dino"]).repeats == 0


def test_first_masks_become_soft_where_a_token_holds_two_objects():
    mask = np.zeros((60, 80), np.uint8)
    mask[:, 33:], mask[40:, 60:] = 1, 3
    soft = first_labels(mask, (4, 5), (64, 80), PROTOCOLS["cropmae"])
    assert soft.shape == (4, 5, 4)
    torch.testing.assert_close(soft.sum(-1), torch.ones(4, 5))
    assert soft[0].tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
    mask[:, 40:] = 0  # the border is within the pixels that bilinear resizing looks at
    assert first_labels(mask, (4, 5), (64, 80), PROTOCOLS["cropmae"])[0, 2].tolist() == [0.5, 0.5]
    assert first_labels(mask, (4, 5), (64, 80), PROTOCOLS["dino"]).shape == (4, 5, 1)  # too narrow for a hard label


def test_the_largest_channel_wins_unless_channels_are_stretched():
    labels = torch.zeros(4, 6, 2)
    labels[..., 0] = 1.0
    labels[1:3, 2:4] = torch.tensor([0.7, 0.3])
    assert not labels_to_mask(labels, 16, (64, 96), PROTOCOLS["cropmae"]).any()
    assert labels_to_mask(labels, 16, (64, 96), PROTOCOLS["dino"])[32, 48] == 1


@pytest.mark.parametrize("change", [{}, {"first_mask": "nearest"}, {"stretched": "positive"}], ids=str)
def test_a_first_mask_that_is_predicted_is_the_protocols(change, tmp_path):
    """As labels, soft or hard, of the frames that patches divide."""
    synthesize("vip", tmp_path / "data", videos=1, frames=2, height=72, width=96)
    (video,), protocol = open_vip(tmp_path / "data").videos, replace(VIP["videowalk"], **change)
    encoder = load_encoder("random:vit_nano/32").encoder
    segment_video(encoder, video, protocol, tmp_path / "out", device=torch.device("cpu"))
    labels = first_labels(video.read_given()[0], (17, 17), (544, 544), protocol)
    masks = {s: labels_to_mask(labels, 32, (72, 96), replace(protocol, stretched=s)) for s in ("none", "positive")}
    assert "first_mask" in change or (masks["none"] != masks["positive"]).any()
    np.testing.assert_array_equal(Image.open(tmp_path / "out" / video.masks[0].name), masks[protocol.stretched])


@pytest.mark.parametrize(
    ("protocol", "size", "expected"),
    [
        (PROTOCOLS["cropmae"], (120, 213), (480, 880)),
        (PROTOCOLS["cropmae"], (213, 120), (480, 880)),
        (PROTOCOLS["videowalk"], (480, 854), (480, 848)),
        (VIP["videowalk"], (720, 1280), (560, 560)),
        (JHMDB["videowalk"], (240, 320), (320, 320)),
        (JHMDB["cropmae"], (240, 320), (320, 320)),
        (VIP["cropmae"], (720, 1280), (448, 880)),
        (VIP["cropmae"], (405, 720), (448, 880)),
        (VIP["cropmae"], (1280, 720), (880, 448)),
        (VIP["cropmae"], (480, 480), (880, 832)),
        (VIP["cropmae"], (20, 1280), (64, 880)),
    ],
)
def test_frames_are_resized_without_rounding(protocol, size, expected, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "frame.png"), image)
    pixels = cv2.resize(image.astype(np.float32) / 255, expected[::-1])[:, :, ::-1]
    plain = ((pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)
    np.testing.assert_allclose(read_frame(tmp_path / "frame.png", protocol).numpy(), plain, atol=1e-5)


def test_masks_and_labels_are_those_of_opencv():
    rng = np.random.default_rng(2)
    mask = cv2.resize(rng.integers(0, 6, (9, 16), dtype=np.uint8), (213, 120), interpolation=cv2.INTER_NEAREST)
    pixels = cv2.resize(mask, (880, 480), interpolation=cv2.INTER_NEAREST)
    objects = (pixels[..., None] == np.arange(6)).astype(np.float32)
    labels = first_labels(mask, (30, 55), (480, 880), PROTOCOLS["cropmae"])
    np.testing.assert_allclose(labels.numpy(), cv2.resize(objects, (55, 30)), atol=1e-6)
    labels = torch.from_numpy(rng.dirichlet(np.full(6, 0.3), (30, 55)).astype(np.float32))
    winner = Image.fromarray(cv2.resize(labels.numpy(), (880, 480)).argmax(-1).astype(np.uint8))
    plain = np.asarray(winner.resize((213, 120), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(labels_to_mask(labels, 16, (120, 213), PROTOCOLS["cropmae"]), plain)
