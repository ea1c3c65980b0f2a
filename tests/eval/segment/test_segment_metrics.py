"""mIoU of segmentation: against the public implementation's cases, and by counting."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.reference import read_case, reference_files

from eval.metrics.segmentation import ImageConfusions, class_rows, match_clusters, merge_clusters
from eval.segment.scoring import absent_warnings
from flsl.confusion import class_ious, confusion, counts, mean_iou

KINDS = {
    "hungarian": "one_to_one",
    "many_to_one": "many_to_one",
    "many_to_one_precision": "many_to_one_precision",
}


def matched_iou(matrix, kind):
    return mean_iou(merge_clusters(matrix, match_clusters(matrix, kind)))


@pytest.mark.parametrize("path", reference_files("segment/*.npz", holding="gt"))
def test_segment_clusters_reference(path):
    arrays, config = read_case(path)
    matrix = confusion(
        np.where(arrays["gt"] == config["ignore"], 255, arrays["gt"]),
        arrays["pred"],
        config["classes"],
        config["clusters"],
    )
    assert config["expect"].keys() <= KINDS.keys()
    for name, expected in config["expect"].items():
        merged = merge_clusters(matrix, match_clusters(matrix, KINDS[name]))
        assert [numbers.tolist() for numbers in counts(merged)] == [expected[key] for key in ("tp", "fp", "fn")]
        assert mean_iou(merged) == pytest.approx(100 * expected["miou"], abs=1e-10)


@pytest.mark.parametrize("path", reference_files("segment/*.npz", holding="expect/confusion"))
def test_segment_confusion_reference(path):
    arrays, config = read_case(path)
    truth, prediction = arrays["val_masks"], arrays["expect/prediction"]
    matrix = confusion(np.where(truth == config["ignore"], 255, truth), prediction, config["classes"])
    np.testing.assert_array_equal(matrix, arrays["expect/confusion"])
    np.testing.assert_allclose(class_ious(matrix), arrays["expect/iou_identity"], rtol=0, atol=1e-12)
    assert mean_iou(matrix) == pytest.approx(100 * config["miou_identity"], abs=1e-9)
    assert matched_iou(matrix, "one_to_one") == pytest.approx(100 * config["miou_hungarian"], abs=1e-9)


def drawn_images(count=12, classes=4, side=9, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (count, side, side)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = 255
    prediction = np.where(rng.random(truth.shape) < 0.6, truth % 255, rng.integers(0, classes, truth.shape))
    return truth, prediction.clip(0, classes - 1).astype(np.uint8)


def test_void_does_not_count_whatever_is_predicted_there():
    truth, prediction = drawn_images()
    matrix = confusion(truth, prediction, 4)
    assert matrix.sum() == (truth != 255).sum()
    np.testing.assert_array_equal(confusion(truth, np.where(truth == 255, 3, prediction), 4), matrix)


def test_a_class_that_is_nowhere_counts_as_the_source_says():
    truth, prediction = np.array([[0, 0, 1, 1]]), np.array([[0, 0, 1, 0]])
    matrix = confusion(truth, prediction, 3)
    assert class_ious(matrix, "zero").tolist() == pytest.approx([2 / 3, 1 / 2, 0])
    assert mean_iou(matrix, "zero") == pytest.approx(100 * (2 / 3 + 1 / 2) / 3)
    assert mean_iou(matrix, "left out") == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)
    predicted = confusion(truth, np.array([[0, 2, 1, 0]]), 3)  # predicted alone, it counts 0 by either
    assert class_ious(predicted, "left out")[2] == 0


@pytest.mark.parametrize("which", ["truth", "prediction"])
def test_ids_that_do_not_exist_are_refused(which):
    masks = {"truth": np.array([0, 1]), "prediction": np.array([0, 1])} | {which: np.array([0, 4])}
    with pytest.raises(ValueError, match="4, but must be 0 to 3"):
        confusion(**masks, classes=4)


def test_matching_finds_renamed_classes():
    truth, _ = drawn_images()
    renamed = np.array([2, 0, 3, 1, *[9] * 251, 0], np.uint8)[truth]
    matrix = confusion(truth, renamed, 4)
    assert mean_iou(matrix) == 0
    assert matched_iou(matrix, "one_to_one") == 100
    assert matched_iou(confusion(truth, truth * 2 % 255 + truth % 2, 4, 8), "many_to_one_precision") == 100


def test_sum_and_interval_are_those_of_the_drawn_images():
    truth, prediction = drawn_images()
    images = ImageConfusions(4)
    matrices = [confusion(t, p, 4) for t, p in zip(truth, prediction)]
    for number, matrix in enumerate(matrices):
        images.add(f"image{number}", matrix)
    np.testing.assert_array_equal(images.total(), confusion(truth, prediction, 4))
    np.testing.assert_array_equal(images.one(3), matrices[3])
    found = images.interval(mean_iou, seed=5)
    generator, drawn = np.random.default_rng(5), []
    for _ in range(1000):
        drawn.append(mean_iou(sum(matrices[i] for i in generator.integers(0, len(matrices), len(matrices)))))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    assert found.low < mean_iou(images.total()) < found.high
    assert (found.unit, found.units) == ("images", 12)


def test_an_image_without_truth_has_no_score():
    images = ImageConfusions(2)
    images.add("void", np.zeros((2, 2), np.int64))
    images.add("right", np.diag([3, 0]))
    assert images.image_score(0) is None
    assert images.image_score(1) == 100  # over the one class that it holds


def test_rows_of_classes_count_their_pixels():
    rows = class_rows(np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]]), ("sky", "road", "none"))
    counts = [[row[key] for key in ("class", "true_pixels", "predicted_pixels", "right_pixels")] for row in rows]
    assert counts == [["sky", 8, 7, 6], ["road", 4, 5, 3], ["none", 0, 0, 0]]
    assert [row["IoU"] for row in rows] == [pytest.approx(100 * 6 / 9), pytest.approx(100 * 3 / 6), None]


@pytest.mark.parametrize(("absent", "said"), [("zero", "count as IoU 0 in the mean"), ("left out", "are left out of")])
def test_classes_without_a_pixel_are_said(absent, said):
    classes, protocol = [f"class{number}" for number in range(14)], SimpleNamespace(absent=absent)
    assert absent_warnings(np.eye(14, dtype=np.int64), classes, protocol) == []
    (one,) = absent_warnings(np.diag([*range(1, 14), 0]), classes, protocol)
    assert said in one
    assert one.endswith(": class13")
    (many,) = absent_warnings(np.diag([5, 0, 4, *[0] * 11]), classes, protocol)
    assert many.endswith(", class11 and 2 more")
