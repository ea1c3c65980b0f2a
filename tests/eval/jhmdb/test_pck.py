"""Joints to tokens and back, and PCK, against plain computations of the public code's rules."""

import numpy as np
import pytest
import torch

from eval.jhmdb.joints import joint_labels, joint_places
from eval.jhmdb.protocols import PROTOCOLS
from eval.jhmdb.scoring import SHARES, count, pck

GRID, FRAME, SIZE = (20, 20), (320, 320), (240, 320)


def draw(grid, x, y, sigma=0.5):
    """A bell at (x, y) in tokens, pixel by pixel: the public code's, for a size that is cut to 4 x 4."""
    bell = np.zeros(grid)
    left, top = int(x - 3 * sigma), int(y - 3 * sigma)
    right, bottom = int(x + 3 * sigma + 1), int(y + 3 * sigma + 1)
    if left >= grid[1] or top >= grid[0] or right < 0 or bottom < 0:
        return bell
    for row in range(max(0, top), min(bottom, grid[0])):
        for column in range(max(0, left), min(right, grid[1])):
            away = (column - left - 2) ** 2 + (row - top - 2) ** 2
            bell[row, column] = np.exp(-away / (2 * sigma**2))
    return bell


@pytest.mark.parametrize("grid", [(20, 20), (40, 40), (22, 22)])
def test_joints_become_bells(grid):
    rng = np.random.default_rng(0)
    joints = np.concatenate(
        [rng.uniform(-40, 360, (40, 2)), [[0, 0], [5, 3], [319, 239], [12.1, 236], [24, 24], [-500, 9]]]
    )
    patch = 320 // grid[0]
    frame = (grid[0] * patch, grid[1] * patch)
    labels = joint_labels(joints, SIZE, frame, grid).numpy()
    for number, (x, y) in enumerate(joints, start=1):
        expected = draw(grid, x * frame[1] / SIZE[1] / patch, y * frame[0] / SIZE[0] / patch)
        np.testing.assert_allclose(labels[..., number], expected, atol=1e-7, err_msg=f"{x}, {y}")
    np.testing.assert_array_equal(labels[..., 0], labels[..., 1:].sum(-1) == 0)
    assert not labels[..., -1].any()


def test_a_joint_is_found_again_where_it_was():
    joints = np.array([[160.0, 120.0], [40.0, 200.0], [-300.0, 100.0]])
    labels = joint_labels(joints, SIZE, FRAME, GRID)
    for tokens in (protocol.tokens for protocol in PROTOCOLS.values()):
        places = joint_places(labels, SIZE, tokens)
        assert places.shape == (3, 2)
        assert np.isnan(places[2]).all()
        np.testing.assert_allclose(places[:2], joints[:2], atol=8)  # half a token


def test_a_place_is_the_mean_of_the_highest_tokens():
    labels = torch.zeros(4, 5, 3)
    labels[1, 2, 1], labels[1, 3, 1], labels[3, 0, 1] = 0.6, 0.2, 0.1
    np.testing.assert_allclose(joint_places(labels, (40, 50), 1), [[20, 10], [np.nan, np.nan]])
    two = joint_places(labels, (40, 50), 2)[0]
    np.testing.assert_allclose(two, [10 * (2 * 0.6 + 3 * 0.2) / 0.8, 10], rtol=1e-6)


def plain_pck(truths, poses):
    """The public evaluation in loops: all clips' distances by joint, then the mean over joints."""
    distances = [[] for _ in range(15)]
    for truth, pose in zip(truths, poses):
        for frame in range(len(truth)):
            seen = [joint for joint in range(15) if not np.isnan(pose[frame, joint]).any()]
            left, top = (min([1e6, *(truth[frame, joint, axis] for joint in seen)]) for axis in (0, 1))
            right, bottom = (max([-1, *(truth[frame, joint, axis] for joint in seen)]) for axis in (0, 1))
            size = 0.6 * np.hypot(right - left, bottom - top)
            for joint in seen if frame else ():
                distances[joint].append(np.hypot(*(pose[frame, joint] - truth[frame, joint])) / size)
    return [np.mean([100 * np.mean(np.array(of) <= share) for of in distances if of]) for share in SHARES]


def test_pck_equals_the_plain_computation():
    rng = np.random.default_rng(1)
    truths = [rng.uniform(-30, 300, (frames, 15, 2)) for frames in (5, 2, 9)]
    poses = [truth + rng.normal(0, 40, truth.shape) for truth in truths]
    for pose in poses:
        pose[rng.random(pose.shape[:2]) < 0.2] = np.nan
        pose[:, 4] = np.nan  # never followed: in no mean
    counts = [count(truth, pose) for truth, pose in zip(truths, poses)]
    np.testing.assert_allclose(pck(counts), plain_pck(truths, poses), rtol=1e-12)
    assert (np.diff(pck(counts)) >= 0).all()
    assert pck([count(truth, truth) for truth in truths]).tolist() == [100.0] * 5


def test_lost_joints_and_the_first_frame_do_not_count():
    truth = np.tile(np.arange(30.0).reshape(15, 2) * 10, (3, 1, 1))
    pose = truth.copy()
    pose[0] += 500
    assert pck([count(truth, pose)]).tolist() == [100.0] * 5
    pose[1, 3] = np.nan
    assert count(truth, pose).judged.tolist() == [1 if joint == 3 else 2 for joint in range(15)]
    pose[:] = np.nan
    assert np.isnan(pck([count(truth, pose)])).all()
    alone = np.full_like(truth, np.nan)
    alone[:, 0] = truth[:, 0]  # a person of one joint has no size
    assert pck([count(truth, alone)]).tolist() == [0.0] * 5
