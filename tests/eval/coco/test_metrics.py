"""The 24 numbers: both evaluators agree, simple cases are what they must be, and the bootstrap starts from them."""

import contextlib
import dataclasses
import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from eval.coco.bench import drawn_detections
from eval.coco.detections import check_detections
from eval.detector.annotations import Annotations, read_annotations
from eval.metrics.coco import evaluate
from eval.metrics.resample import ap_resampler
from flsl.runtime.errors import UserError
from results.benchmarks import AVERAGE_PRECISIONS, BY_SIZE, RECALLS


def blob(rng, height=90, width=120):
    """A random rectangle as box, area and compressed mask."""
    x, y = int(rng.integers(0, width - 20)), int(rng.integers(0, height - 20))
    w, h = int(rng.integers(3, 20)), int(rng.integers(3, 20))
    if rng.random() < 0.2:  # a large one, so that every size occurs
        x, y, w, h = 2, 1, int(rng.integers(98, width - 3)), height - 3
    return shape(x, y, w, h, height, width)


def shape(x, y, w, h, height=90, width=120):
    inside = np.zeros((height, width), np.uint8, order="F")
    inside[max(y, 0) : y + h, max(x, 0) : x + w] = 1
    code = rle.encode(inside)
    return {
        "bbox": [x, y, w, h],
        "area": int(inside.sum()),
        "segmentation": {"size": [height, width], "counts": code["counts"].decode()},
    }


def moved(rng, annotation):
    """A detection near an object."""
    x, y, w, h = annotation["bbox"]
    dx, dy, dw, dh = rng.integers(-3, 4, 4)
    found = shape(int(x + dx), int(y + dy), max(int(w + dw), 1), max(int(h + dh), 1))
    return {key: found[key] for key in ("bbox", "segmentation")}


@pytest.fixture(scope="module")
def case():
    """Forty images with three categories, crowds, images without objects, false, double and equally scored detections."""
    rng = np.random.default_rng(0)
    images = [{"id": 10 * k, "file_name": f"{k}.jpg", "height": 90, "width": 120} for k in range(40)]
    of_image, detections, number = {}, [], 0
    for image in images:
        objects = []
        for _ in range(int(rng.integers(0, 6))):
            number += 1
            crowd = int(rng.random() < 0.15)
            category = int(rng.choice([2, 5, 9]))
            objects.append(
                {"id": number, "image_id": image["id"], "category_id": category, "iscrowd": crowd, **blob(rng)}
            )
        if objects:
            of_image[image["id"]] = objects
        candidates = [
            moved(rng, a) | {"category_id": a["category_id"]} for a in objects for _ in range(rng.integers(0, 4))
        ]
        for _ in range(int(rng.integers(0, 4))):
            fake = blob(rng)
            candidates.append(
                {"bbox": fake["bbox"], "segmentation": fake["segmentation"], "category_id": int(rng.choice([2, 5, 9]))}
            )
        for candidate in candidates:
            detections.append(candidate | {"image_id": image["id"], "score": round(float(rng.random()), 2)})
    categories = [{"id": 2, "name": "a"}, {"id": 5, "name": "b"}, {"id": 9, "name": "c"}]
    return Annotations("case.json", categories, images, of_image, []), detections


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_both_evaluators_give_the_same_twelve_numbers(case, kind):
    fast, plain = (evaluate(*case, kind, backend) for backend in ("faster", "pycocotools"))
    assert list(fast.scores) == [*AVERAGE_PRECISIONS, *BY_SIZE, *RECALLS]
    for name in fast.scores:
        assert 0 < plain.scores[name] < 100, name  # a score that cannot move proves nothing
        assert fast.scores[name] == pytest.approx(plain.scores[name], abs=1e-9), name
    np.testing.assert_allclose(fast.precision, plain.precision, atol=1e-12)


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize("backend", ["faster", "pycocotools"])
def test_further_keys_of_results_change_nothing(case, kind, backend):
    """With `caption` COCO's tools took results for another task's, whose sizes they do not look at."""
    truth, detections = case
    more = {"caption": "a", "keypoints": [], "area": 1e6, "iscrowd": 1, "ignore": 1, "id": 3}
    changed = [detection | more for detection in detections]
    assert evaluate(truth, changed, kind, backend).scores == evaluate(truth, detections, kind, backend).scores
    others = {image: [entry | {"ignore": 1} for entry in listed] for image, listed in truth.of_image.items()}
    again = dataclasses.replace(truth, of_image=others)
    assert evaluate(again, detections, kind, backend).scores == evaluate(truth, detections, kind, backend).scores


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize("backend", ["faster", "pycocotools"])
def test_the_bootstrap_counts_as_the_evaluator_does(case, kind, backend):
    truth, detections = case
    evaluation = evaluate(truth, detections, kind, backend)
    count, statistic = ap_resampler(truth, detections, evaluation)
    assert count == len(truth.images)
    assert statistic(np.arange(count)) == pytest.approx(evaluation.scores["AP"], abs=1e-9)
    # Leaving images out is the same as evaluating without them.
    half = [image for image in truth.images if image["id"] % 20 == 0]
    kept = {image["id"] for image in half}
    part = Annotations("half", truth.categories, half, {k: v for k, v in truth.of_image.items() if k in kept}, [])
    expected = evaluate(part, [d for d in detections if d["image_id"] in kept], kind).scores["AP"]
    assert statistic(np.flatnonzero([image["id"] in kept for image in truth.images])) == pytest.approx(
        expected, abs=1e-9
    )
    # So is an image alone.
    alone = statistic.per_image()
    np.testing.assert_allclose(alone, [statistic(np.array([image])) for image in range(count)], atol=1e-9)
    assert 0 < np.isnan(alone).sum() < count / 2
    assert len(np.unique(alone.round(3))) > count / 2


def test_the_size_of_a_mask_is_its_own_not_that_of_its_box(case):
    """A thin frame fills 396 pixels of a box of 10,000: as a mask it is small, as a box large."""
    image = {"id": 1, "file_name": "1.jpg", "height": 120, "width": 120}
    inside = np.zeros((120, 120), np.uint8, order="F")
    inside[10:110, 10:110] = 1
    inside[11:109, 11:109] = 0
    code = rle.encode(inside)
    mask = {"size": code["size"], "counts": code["counts"].decode()}
    object_ = {"bbox": [10, 10, 100, 100], "segmentation": mask, "image_id": 1, "category_id": 1}
    far = shape(2, 2, 5, 5, 120, 120)
    small = {"id": 1, "iscrowd": 0, "image_id": 1, "category_id": 1} | far
    truth = Annotations("thin.json", [{"id": 1, "name": "thin"}], [image], {1: [small]}, [])
    missed = [object_ | {"score": 0.9}, {k: small[k] for k in ("bbox", "segmentation", "image_id", "category_id")}]
    missed[1]["score"] = 0.5
    for backend in ("faster", "pycocotools"):
        assert evaluate(truth, missed, "mask", backend).scores["APs"] == pytest.approx(50)
        assert evaluate(truth, missed, "box", backend).scores["APs"] == pytest.approx(100)


def test_perfect_and_absent_detections(case):
    truth, _ = case
    perfect = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 1.0}
        | {"segmentation": a["segmentation"]}
        for annotations in truth.of_image.values()
        for a in annotations
        if not a["iscrowd"]
    ]
    for kind in ("box", "mask"):
        assert evaluate(truth, perfect, kind).scores["AP"] == pytest.approx(100.0)
        for backend in ("faster", "pycocotools"):
            none = evaluate(truth, [], kind, backend)
            assert none.scores["AP"] == 0
            assert none.scores["AR100"] == 0
            count, statistic = ap_resampler(truth, [], none)
            assert statistic(np.arange(count)) == 0


def test_annotations_may_be_numbered_from_0(case):
    truth, detections = case
    expected = evaluate(truth, detections, "box").scores
    lowered = {k: [a | {"id": a["id"] - 1} for a in v] for k, v in truth.of_image.items()}
    for backend in ("faster", "pycocotools"):
        again = evaluate(dataclasses.replace(truth, of_image=lowered), detections, "box", backend)
        assert again.scores == pytest.approx(expected, abs=1e-9)


def test_what_cannot_be_measured_has_no_value(case):
    truth, detections = case
    small = {k: [a for a in v if a["area"] < 32**2] for k, v in truth.of_image.items()}
    only_small = Annotations("small", truth.categories, truth.images, small, [])
    scores = evaluate(only_small, detections, "box").scores
    assert scores["APl"] is None
    assert scores["APs"] is not None


def test_each_category_is_scored_on_its_own(case):
    truth, detections = case
    rows = evaluate(truth, detections, "box").per_class()
    mean = np.mean([row["AP"] for row in rows])
    assert mean == pytest.approx(evaluate(truth, detections, "box").scores["AP"])
    others = [d for d in detections if d["category_id"] != 2]
    again = evaluate(truth, others, "box").per_class()
    assert again[0]["AP"] == 0
    assert again[1:] == rows[1:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"image_id": 1}, "result 0 is for image 1, not in"),
        ({"category_id": 1}, "result 0 has category 1, not in"),
        ({"score": float("nan")}, "result 0 must have a finite number as score, but has nan"),
        ({"score": True}, "result 0 must have a finite number as score, but has True"),
        ({"score": 10**400}, "result 0 must have a finite number as score, but has 1000"),
        ({"image_id": [10]}, r"result 0 is for image \[10\], not in"),
        ({"category_id": "2"}, "result 0 has category '2', not in"),
        ({"bbox": [1, 2, 3]}, r"result 0: bbox must be .* but is \[1, 2, 3\]"),
        ({"bbox": [1, 2, 3, float("inf")]}, r"result 0: bbox must be .* but is \[1, 2, 3, inf\]"),
        ({"bbox": [1, 2, 3, -4]}, r"result 0: bbox \[1, 2, 3, -4\] has a negative width or height"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6]]}, "result 0 must have its mask as compressed RLE"),
        ({"segmentation": {"size": [90, 120], "counts": "11"}}, "counts covers 2 pixels, but the image has 10800"),
        ({"segmentation": {"size": [90, 120], "counts": "~~"}}, "counts is no compressed run-length code"),
        ({"segmentation": {"size": [90, 120], "counts": "P"}}, "counts is no compressed run-length code"),
        ({"segmentation": {"size": 7, "counts": "0"}}, "result 0 has a mask of size 7"),
        (
            {"segmentation": {"size": [9, 9], "counts": "0"}},
            "result 0 has a mask of size .9, 9., but its image is .90, 120.",
        ),
    ],
)
def test_detections_that_do_not_fit_are_refused(case, damage, message):
    truth, detections = case
    with pytest.raises(UserError, match=message):
        check_detections(truth, [detections[0] | damage], "d.json")
    with pytest.raises(UserError, match="must hold a list"):
        check_detections(truth, {"a": 1}, "d.json")
    only_box = {key: value for key, value in detections[1].items() if key != "segmentation"}
    with pytest.raises(UserError, match="result 1 lacks the key 'segmentation' that others have"):
        check_detections(truth, [detections[0], only_box], "d.json")
    without = {k: [{x: y for x, y in a.items() if x != "segmentation"} for a in v] for k, v in truth.of_image.items()}
    check_detections(Annotations("b.json", truth.categories, truth.images, without, []), [only_box], "d.json")
    with pytest.raises(UserError, match=r"d.json has masks, but annotation 1 of b.json has no segmentation"):
        check_detections(Annotations("b.json", truth.categories, truth.images, without, []), detections, "d.json")
    with pytest.raises(UserError, match="lacks the key 'score'"):
        check_detections(truth, [{k: v for k, v in detections[0].items() if k != "score"}], "d.json")


CODE = shape(5, 5, 9, 9)["segmentation"]["counts"]
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just([1, 2, 3, 4])
RESULT = st.fixed_dictionaries(
    {
        "image_id": st.sampled_from([0, 10]) | ANYTHING,
        "category_id": st.just(2) | ANYTHING,
        "bbox": st.lists(st.floats(-5, 200) | ANYTHING, min_size=3, max_size=5),
        "score": st.floats(0, 1) | ANYTHING,
    },
    optional={
        "segmentation": st.fixed_dictionaries(
            {"size": st.just([90, 120]) | ANYTHING, "counts": st.sampled_from([CODE, CODE[:-1]]) | ANYTHING}
        )
    },
)


@settings(deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])  # milliseconds an example
@given(results=st.lists(RESULT, max_size=2) | ANYTHING)
def test_whatever_is_taken_can_be_scored(case, results):
    truth = case[0]
    with contextlib.suppress(UserError):
        check_detections(truth, results, "d.json")
        for kind in ("box", "mask") if results and "segmentation" in results[0] else ("box",):
            assert 0 <= evaluate(truth, results, kind).scores["AP"] <= 100


def test_evaluators_agree_on_real_annotations(data_dir):
    path = data_dir / "coco_mini" / "annotations" / "instances_val2017.json"
    if not path.is_file():
        pytest.skip(f"coco_mini absent: {path}")
    truth, detections = drawn_detections(read_annotations(path, None), 129)
    for kind in ("box", "mask"):
        fast, plain = (evaluate(truth, detections, kind, backend).scores for backend in ("faster", "pycocotools"))
        assert fast == pytest.approx(plain, abs=1e-9)


@pytest.mark.slow
def test_the_fast_evaluator_is_five_times_faster(data_dir):
    """Benchmark: 5,000 images' detections (the repeated mini set), boxes and masks, both backends in the same run."""
    import time

    path = data_dir / "coco_mini" / "annotations" / "instances_val2017.json"
    truth, detections = drawn_detections(read_annotations(path, None), 5000)
    seconds = {}
    for backend in ("faster", "pycocotools"):
        evaluate(truth, detections[:1], "box", backend)  # imports it
        start = time.process_time()
        for kind in ("box", "mask"):
            evaluate(truth, detections, kind, backend)
        seconds[backend] = time.process_time() - start
    assert seconds["pycocotools"] >= 5 * seconds["faster"], json.dumps(seconds | {"cpus": os.cpu_count()})
