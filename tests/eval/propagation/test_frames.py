"""Frames and first masks against the public script's, and what becomes of labels."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from support.reference import read_case, reference_files

from eval.davis.edition import DAVIS_2017
from eval.davis.protocols import PROTOCOLS
from eval.propagation.features import encode, encode_ahead
from eval.propagation.follow import Context
from eval.propagation.frames import read_frame, resize_frame, to_input
from eval.propagation.labels import first_labels, labels_to_mask
from eval.propagation.masks import write_mask
from flsl.checkpoint import load_encoder
from flsl.runtime.errors import UserError
from flsl.runtime.stopwatch import Stopwatch

DINO = PROTOCOLS["dino"]


@pytest.mark.parametrize("path", reference_files("davis/*.npz", holding="/image_bgr"))
def test_reference_frames(path, tmp_path):
    arrays, config = read_case(path)
    for entry in config["cases"]:
        start = f"{entry['index']}/"
        check_frame({key.removeprefix(start): arrays[key] for key in arrays if key.startswith(start)}, tmp_path)


def check_frame(case, tmp_path):
    np.testing.assert_array_equal(resize_frame(case["image_bgr"], DINO), case["expect/resized_bgr"])
    # PNG holds the pixels as they are, which JPEG would not.
    cv2.imwrite(str(tmp_path / "frame.png"), case["image_bgr"])
    frame = read_frame(tmp_path / "frame.png", DINO).numpy()
    np.testing.assert_allclose(frame[:, ::8, ::8], case["expect/frame_every_8"], atol=1e-5)
    np.testing.assert_allclose(frame[:, :16, :16], case["expect/frame_corner"], atol=1e-5)
    np.testing.assert_allclose(frame.mean(axis=(1, 2), dtype=np.float64), case["expect/frame_mean"], atol=1e-5)
    np.testing.assert_allclose(frame.std(axis=(1, 2), dtype=np.float64), case["expect/frame_std"], atol=1e-5)
    for name, expect in case.items():
        if not name.startswith("expect/labels_patch"):
            continue
        patch = int(name.removeprefix("expect/labels_patch"))
        grid = frame.shape[1] // patch, frame.shape[2] // patch
        if case["labels"].shape[0] == case["labels"].shape[1] and expect.shape[1:] == grid[::-1]:
            grid = grid[::-1]  # the public reader of masks takes the other side of a square for the long one
        labels = first_labels(case["labels"], grid, frame.shape[1:], DINO).permute(2, 0, 1)
        np.testing.assert_array_equal(labels, expect)


@pytest.mark.parametrize(
    ("size", "protocol", "expect"),
    [
        ((480, 854), "dino", (480, 832)),
        ((480, 910), "dino", (480, 896)),
        ((480, 1152), "dino", (480, 1152)),
        ((1080, 1920), "dino", (480, 832)),
        ((854, 480), "dino", (832, 480)),
        ((240, 432), "dino", (480, 832)),
        ((480, 480), "dino", (480, 448)),
        ((480, 854), "dinov3", (960, 1712)),
    ],
)
def test_frame_size(size, protocol, expect):
    assert PROTOCOLS[protocol].size(*size, 16) == expect
    assert PROTOCOLS[protocol].size(*size, 8) == expect


@pytest.mark.parametrize(("size", "expect"), [((480, 854), (476, 826)), ((854, 480), (826, 476))])
def test_sides_are_what_patches_of_14_divide(size, expect):
    assert DINO.size(*size, 14) == expect


def test_protocols_normalize_with_their_own_deviation():
    white = np.full((480, 832, 3), 255, np.uint8)
    for name, red in (("dino", 0.228), ("dinov3", 0.229)):
        assert to_input(white, PROTOCOLS[name])[0, 0, 0].item() == pytest.approx((1 - 0.485) / red, abs=1e-6)


def test_a_jpeg_that_opencv_pads_with_gray_is_refused(tmp_path):
    path = tmp_path / "00000.jpg"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (480, 854, 3), dtype=np.uint8)).save(path, quality=90)
    data = path.read_bytes()
    assert read_frame(path, DINO).shape == (3, 480, 832)
    path.write_bytes(data + b"\0\0trailing")  # a few cameras write more after the end; nothing is lost
    assert read_frame(path, DINO).shape == (3, 480, 832)
    for share in (0.02, 0.5, 0.99):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(UserError, match=r"00000\.jpg cannot be read: the file is cut off"):
            read_frame(path, DINO)


def test_labels_become_a_mask():
    labels = torch.zeros(4, 6, 4)
    labels[..., 0] = 1.0
    labels[1:3, 1:3, 0], labels[1:3, 1:3, 2] = 0.0, 1.0
    # A weak object wins where it is strongest, because every channel is stretched to 0..1; channel 3 is empty.
    labels[1:3, 4, 0], labels[1:3, 4, 1] = 0.8, 0.2
    mask = labels_to_mask(labels, 16, (128, 192), DINO)
    assert mask.shape == (128, 192)
    assert mask.dtype == np.uint8
    assert (mask[64, 64], mask[64, 144], mask[0, 0]) == (2, 1, 0)
    assert set(np.unique(mask)) == {0, 1, 2}


def test_an_object_that_fills_the_frame_stays():
    mask = labels_to_mask(torch.tensor([0.0, 1.0]).expand(3, 4, 2).contiguous(), 8, (24, 32), DINO)
    assert (mask == 1).all()


def test_void_is_background_in_the_first_mask(tmp_path):
    mask = np.zeros((40, 60), np.uint8)
    mask[5:30, 5:30], mask[30:35] = 2, 255
    write_mask(tmp_path / "00000.png", mask, list(range(256)) * 3)
    truth = DAVIS_2017.read_truth(tmp_path / "00000.png")
    assert set(np.unique(truth)) == {0, 2}
    assert first_labels(truth, (10, 15), (160, 240), DINO).shape == (10, 15, 3)


def test_features_are_computed_in_full_precision_unless_bfloat16_is_asked_for():
    encoder = load_encoder("random:vit_nano/32").encoder
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    (maps,) = encoder.feature_maps(images)
    wanted = torch.nn.functional.normalize(maps.permute(0, 2, 3, 1), dim=-1)
    torch.testing.assert_close(encode(encoder, images), wanted)
    assert 1e-4 < (encode(encoder, images, bfloat16=True) - wanted).abs().max() < 0.05


@pytest.mark.parametrize("in_batches", [False, True])
def test_features_that_are_no_numbers_are_refused(in_batches, tmp_path):
    cpu, frame = torch.device("cpu"), tmp_path / "00000.png"
    encoder = load_encoder("random:vit_nano/32").encoder
    encoder.blocks[0].mlp.fc2.bias.data.fill_(3e38)  # a number, whose sums are none
    Image.new("RGB", (64, 64)).save(frame)
    with (
        encode_ahead(encoder, [frame], (64, 64), DINO, cpu, False, Stopwatch(), in_batches) as ahead,
        pytest.raises(UserError, match=f"frames of {tmp_path}: " if in_batches else f"{frame}: the encoder's features"),
    ):
        list(ahead)


def test_context_is_the_first_frame_and_the_last_seven():
    def frame(number):
        return torch.full((2, 3, 4), float(number)), torch.full((2, 3, 2), float(number))

    context = Context(*frame(0), DINO)
    for number in range(1, 21):
        context.add(*frame(number))
        features, labels = context.view()
        held = sorted(int(value) for value in features[:, 0, 0, 0])
        assert held == [0, *range(max(1, number - 6), number + 1)]
        assert features[0, 0, 0, 0] == 0
        torch.testing.assert_close(features[..., 0], labels[..., 0])
