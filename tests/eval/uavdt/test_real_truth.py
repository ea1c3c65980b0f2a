"""The official metric on the real ground truth of M0203 and M0208: perfect detections, and jittered ones."""

import numpy as np
import pytest

from eval.uavdt.files import SequenceDetections
from eval.uavdt.layout import open_layout
from eval.uavdt.official import pool, score_sequence


@pytest.fixture(scope="module")
def truths(data_dir):
    folder = data_dir / "uavdt"
    if not folder.is_dir():
        pytest.skip(f"real UAVDT ground truth absent: {folder}")
    layout = open_layout(folder)
    return [layout.read_truth(name) for name in ("M0203", "M0208")]


def shifted(truth, shift, score):
    """The true boxes, each moved to the right by `shift` of its width."""
    box = truth.box.copy()
    box[:, 0] += shift * box[:, 2]
    return SequenceDetections(truth.name, truth.frame, box, score, truth.category)


def ap(truths, shifts, scores):
    return pool([score_sequence(t, shifted(t, *rest)) for t, *rest in zip(truths, shifts, scores)]).average_precision


def test_counts(truths):
    assert [(t.length, len(t.frame)) for t in truths] == [(1007, 5619), (265, 790)]
    assert [len(np.unique(t.frame)) for t in truths] == [995, 265]  # frames with a box


def test_perfect_detections_score_100(truths):
    scores = [np.linspace(0, 1, len(t.frame)) for t in truths]
    assert ap(truths, [0, 0], scores) == pytest.approx(100, abs=1e-9)


def test_small_jitter_costs_nothing_and_large_jitter_everything(truths):
    # A shift by s of the width leaves an IoU of (1 - s) / (1 + s): 0.709 at 0.17, 0.695 at 0.18.
    scores = [np.ones(len(t.frame)) for t in truths]
    assert ap(truths, [0.17, 0.17], scores) == pytest.approx(100, abs=0.1)  # a few fall on a neighbor
    assert ap(truths, [0.18, 0.18], scores) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_a_jittered_share_costs_what_it_must(truths, share):
    rng = np.random.default_rng(0)
    wrong = [rng.random(len(t.frame)) < share for t in truths]
    shifts = [np.where(w, 0.3, 0.02) for w in wrong]
    right = 1 - np.concatenate(wrong).mean()
    # Wrong ones last: full precision up to the recall of the right ones. Wrong ones first: precision ends at `right`.
    assert ap(truths, shifts, [1.0 - w for w in wrong]) == pytest.approx(100 * right, abs=0.2)
    assert ap(truths, shifts, [0.0 + w for w in wrong]) == pytest.approx(100 * right * right, abs=0.2)
    # At random: precision stays near `right` all along.
    assert ap(truths, shifts, [rng.random(len(w)) for w in wrong]) == pytest.approx(100 * right * right, abs=1.5)
