"""What the annotation reader refuses, and how it says so."""

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from eval.detector.annotation_checks import find_faults
from eval.detector.annotations import Annotations, read_annotations
from eval.detector.mask_code import encode_mask
from eval.metrics.mask_overlap import compressed
from flsl.runtime.errors import UserError


@pytest.fixture
def files(tmp_path):
    """A whole data set of two images; tests break it."""
    folder = tmp_path / "images"
    folder.mkdir()
    images = [
        {"id": 7, "file_name": "b.jpg", "height": 10, "width": 20},
        {"id": 3, "file_name": "a.jpg", "height": 10, "width": 20},
    ]
    for image in images:
        (folder / image["file_name"]).write_bytes(b"x")
    box = {"image_id": 7, "bbox": [1, 1, 5, 5], "area": 25, "segmentation": [[1, 1, 6, 1, 6, 6]], "iscrowd": 0}
    content = {
        "images": images,
        "categories": [{"id": 90, "name": "kite"}, {"id": 4, "name": "cat"}],
        "annotations": [{"id": 1, "category_id": 90, **box}, {"id": 2, "category_id": 4, **box}],
    }
    return tmp_path / "instances.json", folder, content


def read(files, masks=True):
    path, folder, content = files
    path.write_text(json.dumps(content))
    return read_annotations(path, folder, masks)


def test_categories_with_gaps_become_labels_by_id(files):
    content = read(files)
    assert content.category_ids == [4, 90]
    assert content.category_names == ["cat", "kite"]
    assert [image["id"] for image in content.images] == [3, 7]
    assert content.count() == 2
    assert content.warnings == []


def test_images_may_all_lie_in_folders(files):
    """As UAVDT's do: its folder holds no file of its own, and was called empty."""
    (files[1] / "clip").mkdir()
    for image in files[2]["images"]:
        (files[1] / image["file_name"]).rename(files[1] / "clip" / image["file_name"])
        image["file_name"] = f"clip/{image['file_name']}"
    assert len(read(files).images) == 2


def test_boxes_without_area_are_counted_not_refused(files):
    files[2]["annotations"][0]["bbox"] = [1, 1, 0, 5]
    assert "1 boxes without area" in read(files).warnings[0]


BROKEN = {
    "an image id twice": (lambda c: c["images"].append(c["images"][0]), r"more than once in 'images': 7"),
    "an annotation id twice": (lambda c: c["annotations"][1].update(id=1), r"more than once in 'annotations': 1"),
    "a category id twice": (lambda c: c["categories"][1].update(id=90), r"more than once in 'categories': 90"),
    "an unknown image": (
        lambda c: c["annotations"][0].update(image_id=5),
        r"annotation 1: image_id 5 is not in 'images'",
    ),
    "an unknown category": (
        lambda c: c["annotations"][0].update(category_id=5),
        r"annotation 1: category_id 5 is not in 'categories' \(4, 90\)",
    ),
    "a missing file": (lambda c: c["images"][0].update(file_name="gone.jpg"), r"1 images that are not in .*: gone.jpg"),
    "a missing key": (lambda c: c["images"][0].pop("width"), r"images\[0\]: lacks the key 'width'"),
    "a missing list": (lambda c: c.pop("categories"), r"lacks the list 'categories'"),
    "no images": (lambda c: c["images"].clear(), r"lists no images"),
    "no mask": (lambda c: c["annotations"][0].pop("segmentation"), r"annotation 1: no segmentation"),
    "half a box": (lambda c: c["annotations"][0].update(bbox=[1, 2]), r"annotation 1: bbox must be .* but is \[1, 2\]"),
}


def first(**values):
    """Change the first annotation."""
    return lambda content: content["annotations"][0].update(values)


def image(**values):
    return lambda content: content["images"][0].update(values)


TRIANGLE = [[1, 1, 6, 1, 6, 6]]
RUNS = {"size": [10, 20], "counts": [10, 20, 170]}
CODE = encode_mask(np.eye(10, 20, dtype=bool))
HOSTILE = {  # damage -> the key that the message names
    "a box of text": (first(bbox=["1", "1", "5", "5"]), "bbox"),
    "a box with NaN": (first(bbox=[1, math.nan, 5, 5]), "bbox"),
    "an infinite box": (first(bbox=[1, 1, math.inf, 5]), "bbox"),
    "a box of switches": (first(bbox=[True, 1, 5, 5]), "bbox"),
    "a box far away": (first(bbox=[1, 1, 1e300, 5]), "bbox"),
    "a box of 400 digits": (first(bbox=[1, 1, 10**400, 5]), "bbox"),
    "a box of nothing": (first(bbox=None), "bbox"),
    "a negative box": (first(bbox=[1, 1, -5, 5]), "bbox .* negative width or height"),
    "a negative area": (first(area=-25), "area"),
    "an area of NaN": (first(area=math.nan), "area"),
    "an area of nothing": (first(area=None), "area"),
    "an area of 400 digits": (first(area=10**400), "area"),
    "a crowd of text": (first(iscrowd="1"), "iscrowd"),
    "a crowd of nothing": (first(iscrowd=None), "iscrowd"),
    "a polygon of two points": (first(segmentation=[[1, 1, 6, 6]]), "segmentation"),
    "half a point": (first(segmentation=[[1, 1, 6, 1, 6, 6, 3]]), "segmentation"),
    "an empty polygon": (first(segmentation=[[]]), "segmentation"),
    "a second polygon that is none": (first(segmentation=[*TRIANGLE, "x"]), "segmentation"),
    "a flat polygon": (first(segmentation=TRIANGLE[0]), "segmentation"),
    "a polygon with NaN": (first(segmentation=[[1, 1, 6, 1, 6, math.nan]]), "segmentation"),
    "a polygon with text": (first(segmentation=[[1, 1, 6, 1, 6, "6"]]), "segmentation"),
    "a polygon far away": (first(segmentation=[[1, 1, 6, 1, 6, 1e12]]), "segmentation"),
    "an endless polygon": (first(segmentation=[[0, 0, 9e5, 0] * 50]), "outline is longer"),
    "a segmentation of text": (first(segmentation="x"), "segmentation"),
    "runs of another size": (first(segmentation=RUNS | {"size": [20, 10]}), "size"),
    "runs of no size": (first(segmentation=RUNS | {"size": None}), "size"),
    "runs that are too short": (first(segmentation=RUNS | {"counts": [10, 20]}), "counts"),
    "runs that are too long": (first(segmentation=RUNS | {"counts": [10, 20, 1700]}), "counts"),
    "negative runs": (first(segmentation=RUNS | {"counts": [210, -20, 10]}), "counts"),
    "runs of text": (first(segmentation=RUNS | {"counts": ["10", 20, 170]}), "counts"),
    "no runs": (first(segmentation=RUNS | {"counts": []}), "counts"),
    "runs of nothing": (first(segmentation=RUNS | {"counts": None}), "counts"),
    "a code that is cut off": (first(segmentation=CODE | {"counts": CODE["counts"][:-3]}), "counts covers"),
    "a code that never ends": (first(segmentation=CODE | {"counts": "o"}), "counts is no"),
    "a code of garbage": (first(segmentation=CODE | {"counts": "\ud800%&/"}), "counts is no"),
    "a code of nothing": (first(segmentation=CODE | {"counts": ""}), "counts is no"),
    "a code of another size": (first(segmentation=CODE | {"size": [20, 10]}), "size"),
    "an id of text": (first(id="1"), "id"),
    "a fraction as id": (first(id=1.5), "id"),
    "no id": (first(id=None), "id"),
    "an id of 400 digits": (first(id=10**400), "id"),
    "an image of text": (first(image_id="7"), "image_id '7'"),
    "a fraction of an image": (first(image_id=7.0), "image_id 7.0"),
    "a list as image": (first(image_id=[7]), "image_id"),
    "no category": (first(category_id=None), "category_id None"),
    "an absolute name": (image(file_name="/etc/hostname"), "file_name"),
    "a name upwards": (image(file_name="../b.jpg"), "file_name"),
    "a drive": (image(file_name="C:\\b.jpg"), "file_name"),
    "a name with NUL": (image(file_name="b\0.jpg"), "file_name"),
    "a name of 300 letters": (image(file_name="b" * 300), "file_name"),
    "no name": (image(file_name=None), "file_name"),
    "an image's id of text": (image(id="7"), "id"),
    "a height of 0": (image(height=0), "height"),
    "a width of text": (image(width="20"), "width"),
    "a width of 10^9": (image(width=10**9), "width"),
    "no width": (image(width=None), "width"),
    "a category without a name": (lambda c: c["categories"][0].update(name=None), "name"),
    "a category's id of text": (lambda c: c["categories"][0].update(id="90"), "id"),
    "an annotation that is none": (lambda c: c["annotations"].append(7), "annotations"),
    "an image that is none": (lambda c: c["images"].append(None), "images"),
    "no list of images": (lambda c: c.update(images={"a": 1}), "images"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_is_refused_before_anything_is_computed(files, what):
    """Each of these hung, was scored in silence, or failed with a traceback after training."""
    damage, key = HOSTILE[what]
    damage(files[2])
    with pytest.raises(UserError, match=rf"instances\.json: .*{key}") as error:
        read(files)
    assert len(str(error.value)) < 600
    assert "Correct the file" in str(error.value)


def test_sound_masks_of_all_three_kinds(files):
    for segmentation in (TRIANGLE, RUNS, CODE):
        files[2]["annotations"][0]["segmentation"] = segmentation
        assert read(files).count() == 2


def test_other_values_than_objects_are_no_annotations(files):
    for text in ("[]", "7", "null", "NaN", "[" * 100_000, '{"images": ' + "9" * 5000 + "}"):
        files[0].write_text(text)
        with pytest.raises(UserError, match=r"must hold an object|not valid JSON"):
            read_annotations(files[0], None)


def test_what_is_scored_needs_an_object(files):
    path, folder, content = files
    path.write_text(json.dumps(content))
    assert read_annotations(path, folder, scored=True).count() == 2
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    for annotations in (content["annotations"], []):
        path.write_text(json.dumps(content | {"annotations": annotations}))
        read_annotations(path, folder)
        with pytest.raises(UserError, match=r"instances\.json has no annotation of an object"):
            read_annotations(path, folder, scored=True)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([0, 1, 7, 90, 10**30]),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from(["size", "counts", "id"]), inner),
    max_leaves=8,
)


@settings(deadline=5000)  # milliseconds an example
@given(st.data())
def test_no_content_gives_a_traceback_or_a_hang(data):
    """One to three values of a sound file are replaced; what is then taken, COCO's tools can work with."""
    box = {"image_id": 7, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    content = {
        "images": [{"id": 7, "file_name": "b.jpg", "height": 10, "width": 20}],
        "categories": [{"id": 90, "name": "kite"}],
        "annotations": [
            {"id": number, "category_id": 90, "segmentation": copy.deepcopy(segmentation), **box}
            for number, segmentation in enumerate((TRIANGLE, RUNS, CODE), start=1)
        ],
    }
    for _ in range(data.draw(st.integers(1, 3))):
        place, parents = content, []
        while isinstance(place, (dict, list)) and place and (len(parents) < 1 or data.draw(st.booleans())):
            key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            parents.append((place, key))
            place = place[key]
        parent, key = parents[-1]
        parent[key] = data.draw(ANYTHING)
    faults = [fault for fault in find_faults(content, masks=True) if fault.kind != "odd"]
    if not faults:
        truth = Annotations("x", content["categories"], content["images"], {7: content["annotations"]}, [])
        masks = [compressed(a["segmentation"], 10, 20) for a in content["annotations"]]
        assert not masks or rle.iou(masks, masks, [0] * len(masks)).shape == (len(masks),) * 2
        assert len(truth.document()["annotations"]) == len(masks)


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_named(files, what):
    damage, message = BROKEN[what]
    damage(files[2])
    with pytest.raises(UserError, match=message):
        read(files)


def test_masks_are_asked_for_only_where_they_are_needed(files):
    files[2]["annotations"][0].pop("segmentation")
    assert read(files, masks=False).count() == 2


def test_missing_and_unreadable_files(files, tmp_path):
    path, folder, content = files
    with pytest.raises(UserError, match=r"instances\.json does not exist"):
        read_annotations(path, folder)
    path.write_text('{"images": [')
    with pytest.raises(UserError, match="not valid JSON"):
        read_annotations(path, folder)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"image folder .*elsewhere does not exist"):
        read_annotations(path, tmp_path / "elsewhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        read_annotations(path, tmp_path / "empty")


def test_metric_tools_cannot_write_into_what_was_read(files):
    content = read(files)
    content.document()["annotations"][0]["segmentation"] = "changed"
    assert content.of_image[7][0]["segmentation"] == [[1, 1, 6, 1, 6, 6]]
