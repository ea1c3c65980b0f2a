"""`uavdt/coco`: both backends and the bootstrap agree; ignore regions are crowd."""

import numpy as np
import pytest
from support.uavdt_case import detections_of, random_case, truth_of

from eval.uavdt.layout import Layout
from eval.uavdt.scoring import Results

BOX = (1, 10, 10, 40, 40)


@pytest.fixture
def evaluate(tmp_path):
    """Evaluation of (truth, detections) pairs, number of frames, and the AP of drawn ones."""

    def run(pairs, backend="faster"):
        truths, found = zip(*pairs)
        return Results(Layout(tmp_path, tmp_path, None), truths, found, []).evaluate_as_coco(backend)

    return run


@pytest.fixture
def score(evaluate):
    """Scores of (truth, detections) pairs."""
    return lambda *arguments: evaluate(*arguments)[0].scores


@pytest.mark.parametrize("ties", [False, True])
def test_backends_and_resampler_agree(evaluate, ties):
    pairs = [random_case(3, "M0203", 30, ties), random_case(4, "M0205", 20, ties)]
    fast, frames, average_precision = evaluate(pairs)
    np.testing.assert_allclose(fast.precision, evaluate(pairs, "pycocotools")[0].precision, rtol=0, atol=1e-12)
    summary = fast.scores
    assert 0 < summary["AP75"] < summary["AP50"] < 100
    assert 0 < summary["AP"] < summary["AP50"]
    assert frames == 50
    assert average_precision(np.arange(50)) == pytest.approx(summary["AP"], abs=1e-9)
    classes = [values["AP"] for values in fast.per_class()]
    assert summary["AP"] == pytest.approx(np.mean(classes))
    assert average_precision(np.random.default_rng(0).integers(0, 50, 50)) != pytest.approx(summary["AP"], abs=1e-6)


def test_resampled_frames_equal_a_copy_with_these_frames(evaluate, score):
    pair = random_case(7, "M0203", 8)
    truth, found = pair
    drawn = np.array([1, 1, 4, 6, 0, 4, 4, 2])
    _, frames, average_precision = evaluate([pair])
    boxes, regions, rows = [], [], []
    for i, frame in enumerate(drawn, 1):
        at = truth.frame == frame + 1
        kind = zip(truth.box[at].tolist(), truth.category[at].tolist())
        boxes += [(i, *box, 1, 1, category) for box, category in kind]
        regions += [(i, *box) for box in truth.ignore_box[truth.ignore_frame == frame + 1].tolist()]
        at = found.frame == frame + 1
        kind = zip(found.box[at].tolist(), found.score[at].tolist(), found.category[at].tolist())
        rows += [(i, *box, value, category) for box, value, category in kind]
    copied = [(truth_of("M0203", frames, boxes, regions), detections_of("M0203", rows))]
    assert average_precision(drawn) == pytest.approx(score(copied)["AP"], abs=1e-9)


def test_ignore_regions_are_crowd_for_every_category(score):
    car = [(*BOX, 1, 1, 1)]
    wrong = (1, 60, 10, 20, 20, 0.9, 1)  # before the right one
    inside = [(1, 55, 5, 40, 40)]
    right = (*BOX, 0.5, 1)
    covered = score([(truth_of("M0203", 1, car, inside), detections_of("M0203", [wrong, right]))])
    assert covered["AP"] == pytest.approx(100)
    assert covered["APm"] == pytest.approx(100)
    assert covered["APs"] is None


def test_without_ignore_region_it_is_wrong(score):
    wrong, right = (1, 60, 10, 20, 20, 0.9, 1), (*BOX, 0.5, 1)
    summary = score([(truth_of("M0203", 1, [(*BOX, 1, 1, 1)]), detections_of("M0203", [wrong, right]))])
    assert summary["AP"] == pytest.approx(50)


def test_the_category_matters(evaluate):
    found = detections_of("M0203", [(*BOX, 0.5, 2)])
    pairs = [(truth_of("M0203", 1, [(*BOX, 1, 1, 1), (1, 60, 10, 20, 20, 1, 1, 2)]), found)]
    assert [values["AP"] for values in evaluate(pairs)[0].per_class()] == [0, 0, None]  # car, truck, bus
    assert Results(None, [], [found], []).has_categories
    assert not Results(None, [], [found, detections_of("M0205", [(*BOX, 0.5)])], []).has_categories


def test_five_hundred_detections_a_frame_count(evaluate, score):
    # 450 wrong ones go before the right one: COCO's own limit of 100 would lose it.
    found = [(1, 0, 0, 9, 9, 0.9, 1)] * 450 + [(*BOX, 0.5, 1)]
    summary = score([(truth_of("M0203", 1, [(*BOX, 1, 1, 1)]), detections_of("M0203", found))])
    assert summary["AP"] == pytest.approx(100 / 451)
    truth = truth_of("M0203", 1, [(*BOX, 1, 1, 1)])
    too_many = detections_of("M0203", [(1, 0, 0, 9, 9, 0.9, 1)] * 500 + [(*BOX, 0.5, 1)])
    evaluation, _, average_precision = evaluate([(truth, too_many)])
    assert evaluation.scores["AP"] == 0
    assert average_precision(np.array([0])) == 0


@pytest.mark.parametrize("backend", ["faster", "pycocotools"])
def test_no_detection_at_all_scores_zero(evaluate, backend):
    pairs = [(truth_of("M0203", 2, [(*BOX, 1, 1, 3)]), detections_of("M0203"))]
    evaluation, _, average_precision = evaluate(pairs, backend)
    assert [evaluation.scores[name] for name in ("AP", "APm", "APs")] == [0, 0, None]
    assert np.isnan(average_precision(np.array([1])))
