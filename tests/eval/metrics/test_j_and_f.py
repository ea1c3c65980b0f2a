"""J, F and their statistics against the reference vectors, and the packed form against the plain one."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.reference import read_case, reference_files

from eval.metrics.j_and_f import boundary_f, boundary_map, boundary_radius, jaccard, score_frame_plain, statistics
from eval.metrics.packed_j_and_f import score_frame

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("path", reference_files("davis/*.npz", CASES, "/expect/J_F"))
def test_reference_mask_pairs(path):
    arrays, config = read_case(path)
    for name in config["cases"]:
        truth, prediction, void = (arrays[f"{name}/{what}"] for what in ("gt", "pred", "void"))
        exact = dict(rtol=0, atol=1e-12, err_msg=name)
        assert boundary_radius(*truth.shape) == arrays[f"{name}/expect/radius"], name
        np.testing.assert_array_equal(boundary_map(truth), arrays[f"{name}/expect/boundary_gt"], err_msg=name)
        plain = jaccard(truth, prediction), boundary_f(truth, prediction)
        np.testing.assert_allclose(plain, arrays[f"{name}/expect/J_F"], **exact)
        masked = jaccard(truth, prediction, void), boundary_f(truth, prediction, void)
        np.testing.assert_allclose(masked, arrays[f"{name}/expect/J_F_void"], **exact)
        packed = score_frame(truth.astype(np.uint8), prediction.astype(np.uint8), 1)[:, 0]
        np.testing.assert_allclose(packed, arrays[f"{name}/expect/J_F"], **exact)


@pytest.mark.parametrize("path", reference_files("davis/*.npz", CASES, "/values"))
def test_reference_statistics(path):
    arrays, config = read_case(path)
    for name in config["statistics"]:
        values, expect = (arrays[f"statistics/{name}/{what}"] for what in ("values", "expect"))
        known = 3 if len(values) <= 255 else 2  # the public tool's frame numbers wrap: its decay means nothing then
        np.testing.assert_allclose(statistics(values)[:known], expect[:known], rtol=0, atol=1e-12, err_msg=name)


def test_decay_of_a_video_longer_than_256_frames():
    values = np.linspace(1, 0, 600)
    mean, recall, decay = statistics(values)
    assert mean == pytest.approx(0.5)
    assert recall == 0.5
    assert decay == pytest.approx(0.75, abs=0.01)


def blobs(rng, height, width, objects):
    """A label map of overlapping ellipses and stray pixels; some touch the border, some ids may be absent."""
    labels = np.zeros((height, width), np.uint8)
    for number in range(1, objects + 1):
        center = (int(rng.integers(-5, width + 5)), int(rng.integers(-5, height + 5)))
        axes = (int(rng.integers(0, width // 2 + 1)), int(rng.integers(0, height // 2 + 1)))
        cv2.ellipse(labels, center, axes, int(rng.integers(180)), 0, 360, number, -1)
        labels[rng.integers(height), rng.integers(width)] = number
    return labels


@pytest.mark.parametrize("size", [(480, 854), (240, 432), (432, 240), (97, 61), (64, 64), (33, 128), (3, 200), (1, 1)])
def test_packed_equals_plain(size):
    rng = np.random.default_rng(sum(size))
    for objects in (1, 3, 10):
        truth = blobs(rng, *size, objects)
        for prediction in (blobs(rng, *size, objects), np.roll(truth, (1, -2), (0, 1)), np.zeros_like(truth), truth):
            np.testing.assert_array_equal(
                score_frame(truth, prediction, objects), score_frame_plain(truth, prediction, objects)
            )
            np.testing.assert_array_equal(
                score_frame(prediction, truth, objects), score_frame_plain(prediction, truth, objects)
            )


def test_packed_equals_plain_for_high_resolution():
    # The tolerance of a 3000 x 6000 image is 54 pixels; of a larger one it spans more than a word of 64.
    rng = np.random.default_rng(7)
    truth = blobs(rng, 200, 9000, 2)
    assert boundary_radius(*truth.shape) > 64
    prediction = blobs(rng, 200, 9000, 2)
    np.testing.assert_array_equal(score_frame(truth, prediction, 2), score_frame_plain(truth, prediction, 2))


@pytest.mark.parametrize("path", reference_files("davis/osvos_*.json"))
def test_reference_osvos_masks(path, data_dir):
    sequence = path.stem.removeprefix("osvos_")
    masks = data_dir / "davis2017" / "results" / "osvos" / sequence
    if not masks.is_dir():
        pytest.skip(f"OSVOS masks absent: {masks}")
    expects = json.loads(path.read_text())["objects"]  # "dog_1": object 1
    numbers = {int(name.rpartition("_")[2]): expect for name, expect in expects.items()}
    truth = data_dir / "davis2017" / "Annotations" / "480p" / sequence
    names = sorted(file.name for file in truth.glob("*.png"))[1:-1]
    scores = np.array(  # (frames, 2, objects)
        [
            score_frame(*(np.asarray(Image.open(folder / name)) for folder in (truth, masks)), max(numbers))
            for name in names
        ]
    )
    for number, expect in numbers.items():
        for values, metric in zip(scores[:, :, number - 1].T, "JF"):
            np.testing.assert_allclose(values, expect[metric]["frames"], rtol=0, atol=1e-12)
            wanted = [expect[metric][key] for key in ("mean", "recall", "decay")]
            np.testing.assert_allclose(statistics(values), wanted, rtol=0, atol=1e-12)
