"""The rules of the official toolkit, one by one, in the fast path and in the plain one."""

import time

import numpy as np
import pytest
from support import uavdt_reference as reference
from support.uavdt_case import detections_of, random_case, truth_of

from eval.metrics import matching
from eval.uavdt.official import FrameResampler, pool, score_sequence

BOX = (1, 10, 10, 20, 20)  # frame, left, top, width, height


def ap(truth, detections):
    """AP of one sequence; the plain implementation must give the same curve."""
    curve = pool([score_sequence(truth, detections)])
    area, recall, precision = reference.average_precision([(truth, detections)])
    assert curve.average_precision == pytest.approx(area, abs=1e-9)
    np.testing.assert_array_equal(curve.recall, recall)
    np.testing.assert_array_equal(curve.precision, precision)
    return curve.average_precision


def ap_of(boxes, found, ignore=(), name="M0203", length=3):
    return ap(truth_of(name, length, boxes, ignore), detections_of(name, found))


@pytest.mark.parametrize("seed", range(60))
def test_fast_and_plain_agree_on_random_boxes(seed):
    name = ("M0203", "M0209", "M1101")[seed % 3]
    truth, detections = random_case(seed, name, ties=seed % 2 == 0)
    assert 0 < ap(truth, detections) < 100


@pytest.mark.parametrize("pairs", [1, 7, 40])
def test_pairs_of_boxes_that_are_looked_at_in_parts_are_the_same(pairs, monkeypatch):
    """As those of a whole sequence are, which are too many to be looked at together."""
    monkeypatch.setattr(matching, "_PAIRS_AT_ONCE", pairs)
    for seed in range(3):
        truth, detections = random_case(seed, "M0203", ties=seed == 0)
        assert 0 < ap(truth, detections) < 100


@pytest.mark.parametrize("seed", range(5))
def test_fast_and_plain_agree_on_pooled_sequences(seed):
    pairs = [random_case(seed, "M0203", ties=True), random_case(seed + 50, "M0209"), random_case(seed + 90, "M1401", 4)]
    curve = pool([score_sequence(*pair) for pair in pairs])
    area, recall, precision = reference.average_precision(pairs)
    assert curve.average_precision == pytest.approx(area, abs=1e-9)
    np.testing.assert_array_equal(curve.recall, recall)
    np.testing.assert_array_equal(curve.precision, precision)


def test_overlap_of_exactly_the_threshold_matches():
    assert ap_of([(1, 0, 0, 10, 10)], [(1, 0, 0, 7, 10, 0.9)]) == 100
    assert ap_of([(1, 0, 0, 1000, 10)], [(1, 0, 0, 699, 10, 0.9)]) == 0


def test_each_box_is_found_once():
    assert ap_of([BOX], [(*BOX, 0.9), (*BOX, 0.8)]) == 100  # the second is wrong, but after full recall
    assert ap_of([BOX, (1, 60, 10, 20, 20)], [(*BOX, 0.9), (*BOX, 0.8), (1, 60, 10, 20, 20, 0.7)]) == pytest.approx(
        50 + 50 * 2 / 3
    )


def test_a_detection_takes_the_best_overlap_not_the_first():
    near, exact = (1, 12, 10, 20, 20), BOX
    # The better detection must leave `near` to the other one, which reaches 0.7 only there.
    assert ap_of([near, exact], [(*exact, 0.9), (1, 14, 10, 20, 20, 0.8)]) == 100


def test_equal_overlaps_take_the_later_box():
    # The first detection overlaps both boxes by 18/22. The second one reaches 0.7 with the left box only.
    left, right = (1, 8, 10, 20, 20), (1, 12, 10, 20, 20)
    found = [(*BOX, 0.9), (1, 7, 10, 20, 20, 0.8)]
    assert ap_of([left, right], found) == 100
    assert ap_of([right, left], found) == 50


def test_equal_scores_keep_the_order_of_the_file():
    right, wrong = (*BOX, 0.5), (1, 60, 30, 20, 20, 0.5)
    assert ap_of([BOX], [right, wrong]) == 100
    assert ap_of([BOX], [wrong, right]) == 50


@pytest.mark.parametrize(
    ("region", "dropped"),
    [
        ((1, 59, 29, 22, 22), True),
        ((1, 60, 29, 22, 22), False),  # touches the left edge
        ((1, 59, 30, 22, 22), False),
        ((1, 59, 29, 21, 22), False),  # touches the right edge
        ((1, 59, 29, 22, 21), False),
        ((1, 60, 30, 20, 20), False),  # the same box
        ((2, 59, 29, 22, 22), False),  # another frame
    ],
)
def test_only_detections_strictly_inside_one_region_are_dropped(region, dropped):
    found = [(1, 60, 30, 20, 20, 0.9), (*BOX, 0.5)]
    assert ap_of([BOX], found, [region]) == (100 if dropped else 50)
    # These two sequences' ignore files are not read by the toolkit's driver.
    assert ap_of([BOX], found, [region], name="M0209") == 50
    assert ap_of([BOX], found, [region], name="M0801") == 50


def test_two_regions_that_only_together_cover_a_detection_do_not_drop_it():
    regions = [(1, 55, 25, 15, 30), (1, 69, 25, 15, 30)]
    assert ap_of([BOX], [(1, 60, 30, 20, 20, 0.9), (*BOX, 0.5)], regions) == 50


def test_boxes_inside_a_region_still_count():
    assert ap_of([BOX], [(*BOX, 0.9)], [(1, 0, 0, 90, 60)]) == 0


def test_frames_without_boxes_or_detections():
    assert ap_of([BOX], [(2, 10, 10, 20, 20, 0.9), (*BOX, 0.5)]) == 50  # wrong in a frame without boxes
    assert ap_of([BOX, (3, 10, 10, 20, 20)], [(*BOX, 0.9)]) == 50  # a frame without detections
    assert ap_of([BOX], []) == 0
    assert ap_of([], [(*BOX, 0.9)]) == 0


@pytest.mark.parametrize("seed", range(4))
def test_resampling_frames_weighs_them(seed):
    scores = [score_sequence(*random_case(seed, "M0203")), score_sequence(*random_case(seed + 9, "M0205", 5))]
    resampler = FrameResampler(scores)
    assert resampler.frames == 17
    assert resampler.average_precision(np.arange(17)) == pytest.approx(pool(scores).average_precision, abs=1e-9)
    drawn = np.random.default_rng(seed).integers(0, 12, 12)
    truth, detections = random_case(seed, "M0203")
    copies = [np.flatnonzero(truth.frame == frame + 1) for frame in drawn]
    boxes = [(i + 1, *truth.box[row]) for i, rows in enumerate(copies) for row in rows]
    regions = [
        (i + 1, *truth.ignore_box[row])
        for i, frame in enumerate(drawn)
        for row in np.flatnonzero(truth.ignore_frame == frame + 1)
    ]
    found = [
        (i + 1, *detections.box[row], detections.score[row])
        for i, frame in enumerate(drawn)
        for row in np.flatnonzero(detections.frame == frame + 1)
    ]
    written_out = pool([score_sequence(truth_of("M0203", 12, boxes, regions), detections_of("M0203", found))])
    alone = FrameResampler(scores[:1])
    assert alone.average_precision(drawn) == pytest.approx(written_out.average_precision, abs=1e-9)
    assert np.isnan(
        FrameResampler([score_sequence(truth_of("M0203", 2), detections_of("M0203"))]).average_precision([0])
    )


def test_the_fast_path_is_fast():
    truth, detections = random_case(0, length=400)
    start = time.process_time()
    pool([score_sequence(truth, detections)])
    fast = time.process_time() - start
    start = time.process_time()
    reference.average_precision([(truth, detections)])
    assert (time.process_time() - start) > 5 * fast
