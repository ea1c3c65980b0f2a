"""Frames around given UAVDT ground truth."""

import json

import cv2
import numpy as np
import pytest

from eval.data.synthesize.from_gt import TruthClip, fit
from eval.data.synthesize.traffic import patch_corners
from eval.data.synthesize.vehicle import SIZES
from eval.uavdt.files import SequenceTruth

TRUTH = "UAV-benchmark-MOTD_v1.0/GT"


@pytest.mark.parametrize("category", SIZES)
@pytest.mark.parametrize("box", [(10, 20, 60, 50), (3, 4, 90, 12), (0, 0, 11, 60), (100, 7, 25, 25)])
@pytest.mark.parametrize("heading", [(1, 1), (-3, 0.1), (0, -2)])
def test_a_vehicle_touches_all_sides_of_its_box_and_faces_its_way(box, heading, category):
    length, width = SIZES[category]
    shape = (round(64 * width), round(64 * length), 3)
    matrix = fit(np.array(box, float), np.array(heading, float), SIZES[category], shape)
    corners = patch_corners(shape, matrix)
    left, top, w, h = box
    assert np.allclose(corners.min(axis=0), (left, top), atol=1e-9)
    assert np.allclose(corners.max(axis=0), (left + w, top + h), atol=1e-9)
    forward = matrix[:, 0]
    wanted = [a * b >= -1e-9 for a, b in zip(forward, heading)]
    assert all(wanted)


def test_frames_show_the_vehicles_and_hide_the_occluded():
    box = np.array([(20.0, 30, 40, 18), (100, 60, 40, 18)])
    truth = SequenceTruth(
        "M0203",
        1,
        frame=np.array([1, 1]),
        box=box,
        target=np.array([1, 3]),
        out_of_view=np.array([1, 1]),
        occlusion=np.array([1, 2]),
        category=np.array([1, 1]),
        ignore_frame=np.array([1]),
        ignore_box=np.array([(5.0, 5, 30, 15)]),
    )
    clip = TruthClip(np.random.default_rng(0), truth, 96, 160)
    shown, empty = clip.frame(1).astype(int), clip.frame(2).astype(int)
    change = np.abs(shown - empty).max(axis=2) > 40
    assert change[32:46, 24:56].mean() > 0.5  # the vehicle
    assert change[8:18, 8:32].mean() > 0.2  # parked cars in the ignore region
    green = shown[..., 1] - np.maximum(shown[..., 0], shown[..., 2])
    assert (green[60:78, 100:134] > 0).mean() > 0.7  # a tree over most of the second
    assert change[85:, :90].mean() < 0.05  # nothing elsewhere


def test_real_ground_truth(data_dir, data_command, tmp_path, capsys):
    source = data_dir / "uavdt"
    if not (source / TRUTH / "M0203_gt_whole.txt").is_file():
        pytest.skip(f"UAVDT ground truth absent: {source / TRUTH}")
    root = tmp_path / "uavdt"
    words = ("synthesize", "uavdt", root, "--from-gt", source, "--frames", 2)
    assert data_command(*words) == 0
    assert sorted(path.name for path in (root / "UAV-benchmark-M").iterdir()) == ["M0101", "M0203", "M0208"]
    assert cv2.imread(str(root / "UAV-benchmark-M/M0101/img000002.jpg")).shape == (540, 1024, 3)
    lines = (source / TRUTH / "M0101_gt_whole.txt").read_text().splitlines()
    wanted = [line for line in lines if int(line.split(",")[0]) <= 2]
    assert (root / TRUTH / "M0101_gt_whole.txt").read_text().splitlines() == wanted
    assert json.loads((root / "dataset.json").read_text())["name"] == "synthetic-uavdt-from-gt"
    assert data_command("verify", "uavdt", root) == 0
    assert data_command(*words) == 0
    assert "already complete" in capsys.readouterr().out
    assert data_command("synthesize", "uavdt", tmp_path / "x", "--from-gt", source, "--sequences", 1) == 2
    assert data_command("synthesize", "uavdt", tmp_path / "x", "--from-gt", source, "--width", 512) == 2
    assert "outside frames of 512x540" in capsys.readouterr().err
