"""What the annotation reader refuses, and how it says so."""

import json

import pytest

from eval.detector.annotations import read_annotations
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


def test_boxes_without_area_are_counted_not_refused(files):
    files[2]["annotations"][0]["bbox"] = [1, 1, 0, 5]
    assert "1 boxes without area" in read(files).warnings[0]


BROKEN = {
    "an image id twice": (lambda c: c["images"].append(c["images"][0]), r"more than once in 'images': 7"),
    "an annotation id twice": (lambda c: c["annotations"][1].update(id=1), r"more than once in 'annotations': 1"),
    "a category id twice": (lambda c: c["categories"][1].update(id=90), r"more than once in 'categories': 90"),
    "an unknown image": (lambda c: c["annotations"][0].update(image_id=5), r"annotation 1 names image 5"),
    "an unknown category": (lambda c: c["annotations"][0].update(category_id=5), r"names category 5, .*\(4, 90\)"),
    "a missing file": (lambda c: c["images"][0].update(file_name="gone.jpg"), r"1 images that are not in .*: gone.jpg"),
    "a missing key": (lambda c: c["images"][0].pop("width"), r"images\[0\] lacks the key 'width'"),
    "a missing list": (lambda c: c.pop("categories"), r"lacks the list 'categories'"),
    "no images": (lambda c: c["images"].clear(), r"lists no images"),
    "no mask": (lambda c: c["annotations"][0].pop("segmentation"), r"annotation 1 has no segmentation"),
    "half a box": (lambda c: c["annotations"][0].update(bbox=[1, 2]), r"annotation 1 must have a bbox"),
}


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
