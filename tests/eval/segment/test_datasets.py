"""The readers of segmentation data: every layout, and what is wrong with a copy."""

import json
import os
import pickle
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from eval.segment.datasets import LAYOUTS, open_segmentation
from flsl.runtime.errors import UserError


def write_image(path, height=4, width=6):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(path)


def write_mask(path, numbers, palette=False):
    """Write a 4 x 6 mask whose first row starts with the numbers; the rest is the first of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.full((4, 6), numbers[0], np.uint8)
    mask[0, : len(numbers)] = numbers
    image = Image.fromarray(mask)
    if palette:
        image.putpalette(list(range(256)) * 3)
    image.save(path)


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def square(left, top, side):
    return [[left, top, left + side, top, left + side, top + side, left, top + side]]


def instances(size=(4, 6), file_name="7.jpg"):
    """A tie (3) on a person (1), and a crowd of persons over the right half."""
    crowd = {"size": list(size), "counts": [12, 12]}
    return {
        "images": [{"id": 7, "file_name": file_name, "height": size[0], "width": size[1]}],
        "categories": [{"id": 3, "name": "tie"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 1, 1, 1], "area": 1, "segmentation": square(1, 1, 1)},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 4, 4], "area": 16, "segmentation": square(0, 0, 4)},
            {
                "id": 3, "image_id": 7, "category_id": 1, "iscrowd": 1, "bbox": [3, 0, 3, 4], "area": 12,
                "segmentation": crowd,
            },
        ],
    }  # fmt: skip


def write_layout(layout, root):
    """Write a copy of one image per split, official file names; returns the numbers of its first mask row."""
    if layout == "voc2012":
        for split in ("train", "val"):
            write_text(root / f"ImageSets/Segmentation/{split}.txt", f"2007_{split}\n")
            write_image(root / f"JPEGImages/2007_{split}.jpg")
            write_mask(root / f"SegmentationClass/2007_{split}.png", [0, 20, 255], palette=True)
        return [0, 20, 255, 0]
    if layout == "ade20k":
        for split, name in (("training", "ADE_train_1"), ("validation", "ADE_val_1")):
            write_image(root / f"ADEChallengeData2016/images/{split}/{name}.jpg")
            write_mask(root / f"ADEChallengeData2016/annotations/{split}/{name}.png", [0, 1, 150])
        return [255, 0, 149, 255]
    if layout == "coco-things":
        for split in ("train2017", "val2017"):
            write_image(root / split / "7.jpg")
            write_text(root / f"annotations/instances_{split}.json", json.dumps(instances()))
        return [1, 1, 1, 1]
    if layout == "coco-stuff":
        for split in ("train2017", "val2017"):
            write_image(root / split / "7.jpg")
            write_mask(root / "stuffthingmaps" / split / "7.png", [0, 12, 181, 255])
        return [0, 11, 170, 255]
    if layout == "cityscapes":
        for split in ("train", "val"):
            write_image(root / f"leftImg8bit/{split}/ulm/ulm_1_leftImg8bit.png")
            write_mask(root / f"gtFine/{split}/ulm/ulm_1_gtFine_labelIds.png", [7, 33, 0])
            write_mask(root / f"gtFine/{split}/ulm/ulm_1_gtFine_color.png", [200])
        return [0, 18, 255, 0]
    if layout == "camvid":
        for split in ("train", "val"):
            write_image(root / split / "a.png")
            write_mask(root / f"{split}annot" / "a.png", [10, 11])
        return [10, 255, 10, 10]
    write_text(root / "classes.txt", "ground\nsky\n")
    for split in ("train", "val"):
        write_image(root / f"images/{split}/north/a.jpg")
        write_mask(root / f"masks/{split}/north/a.png", [1, 0, 255])
    return [1, 0, 255, 1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_found_and_read(layout, tmp_path):
    row = write_layout(layout, tmp_path)
    data = open_segmentation(tmp_path)
    assert (data.name, data.marker) == (layout, None)
    for name in (data.train, data.val):
        split = data.split(name)
        assert len(split) == 1
        assert split.image(0).shape == (4, 6, 3)
        mask = split.mask(0)
        assert mask.shape == (4, 6)
        assert mask.dtype == np.uint8
        assert mask[0, :4].tolist() == row
        assert not data.is_official(name)
    assert len(set(data.classes)) == len(data.classes)
    assert pickle.loads(pickle.dumps(split)).mask(0).tolist() == mask.tolist()  # loaders start processes


@pytest.mark.parametrize(
    ("layout", "count", "first", "last"),
    [
        ("voc2012", 21, "background", "tvmonitor"),
        ("ade20k", 150, "wall", "flag"),
        ("coco-stuff", 171, "person", "wood"),
        ("cityscapes", 19, "road", "bicycle"),
        ("camvid", 11, "sky", "bicyclist"),
        ("coco-things", 3, "background", "tie"),
        ("folder", 2, "ground", "sky"),
    ],
)
def test_classes(layout, count, first, last, tmp_path):
    write_layout(layout, tmp_path)
    classes = open_segmentation(tmp_path).classes
    assert (len(classes), classes[0], classes[-1]) == (count, first, last)


def test_things_lie_on_each_other_and_crowds_are_void(tmp_path):
    write_layout("coco-things", tmp_path)
    mask = open_segmentation(tmp_path).split("val2017").mask(0)
    assert mask.tolist() == [[1, 1, 1, 1, 255, 255], [1, 2, 1, 1, 255, 255], *[[1, 1, 1, 1, 255, 255]] * 2]


def test_trainaug_and_its_own_masks(tmp_path):
    write_layout("voc2012", tmp_path)
    write_text(tmp_path / "ImageSets/Segmentation/trainaug.txt", "2007_train\n2007_more\n")
    for name in ("train", "more"):
        write_image(tmp_path / f"JPEGImages/2007_{name}.jpg")
        write_mask(tmp_path / f"SegmentationClassAug/2007_{name}.png", [5])
    data = open_segmentation(tmp_path)
    assert data.train == "trainaug"
    assert [data.split("trainaug").mask(i)[0, 0] for i in (0, 1)] == [5, 5]
    assert data.split("train").mask(0)[0, 1] == 20


def test_records_tell_what_was_learned_from(tmp_path):
    write_layout("camvid", tmp_path)
    data = replace(open_segmentation(tmp_path), official={"train": 1, "val": 1})
    assert [data.record_name(name) for name in ("train", "val")] == ["camvid-train", "camvid-val"]
    data = replace(data, official={"train": 367, "val": 1})
    assert data.record_name("val") == "camvid-val (learned from 1)"
    data = replace(data, official={"train": 367, "val": 101})
    assert data.record_name("val") == "camvid-val (1 images, learned from 1)"
    write_layout("voc2012", tmp_path / "voc")
    assert not open_segmentation(tmp_path / "voc").is_official("train")


def test_train_ids_come_before_label_ids(tmp_path):
    write_layout("cityscapes", tmp_path)
    write_mask(tmp_path / "gtFine/val/ulm/ulm_1_gtFine_labelTrainIds.png", [3, 255])
    split = open_segmentation(tmp_path).split("val")
    assert split.names == ("ulm/ulm_1",)
    assert split.mask(0)[0, :2].tolist() == [3, 255]


@pytest.mark.parametrize("layout", ["camvid", "coco-things", "folder"])
def test_digest_knows_every_mask(layout, tmp_path):
    for name in ("one", "two"):
        write_layout(layout, tmp_path / name)
    one, two = (open_segmentation(tmp_path / name) for name in ("one", "two"))
    assert one.split(one.val).digest() == two.split(two.val).digest()
    if layout == "coco-things":
        changed = instances()
        changed["annotations"].pop()
        write_text(tmp_path / "two/annotations/instances_val2017.json", json.dumps(changed))
    else:
        (path,) = (
            (tmp_path / "two").rglob("val*/**/a.png") if layout == "folder" else (tmp_path / "two/valannot/a.png",)
        )
        write_mask(path, [0])
    two = open_segmentation(tmp_path / "two")
    assert one.split(one.val).digest() != two.split(two.val).digest()
    assert one.split(one.train).digest() == two.split(two.train).digest()


def broken(layout, root, break_it):
    """Break a copy, read all of it, and return what the error says."""
    write_layout(layout, root)
    break_it(root)
    with pytest.raises(UserError) as caught:
        read_whole(root)
    return str(caught.value)


def read_whole(root):
    data = open_segmentation(root)
    for name in (data.train, data.val):
        data.split(name).mask(0)


def colors(path):
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path)


@pytest.mark.parametrize(
    ("layout", "break_it", "says"),
    [
        ("camvid", lambda r: write_image(r / "val/a.png", 5, 6), ["valannot/a.png", "6x4", "6x5", "one archive"]),
        ("camvid", lambda r: colors(r / "valannot/a.png"), ["valannot/a.png", "mode RGB", "class's number"]),
        ("camvid", lambda r: write_mask(r / "valannot/a.png", [12, 13, 40]), ["12..13, 40", "0..11, 255"]),
        ("folder", lambda r: write_mask(r / "masks/val/north/a.png", [2]), ["north/a.png", "holds 2", "0..1, 255"]),
        ("ade20k", lambda r: write_mask(next(r.rglob("ADE_val_1.png")), [151]), ["ADE_val_1.png", "151", "0..150"]),
        ("coco-stuff", lambda r: write_mask(r / "stuffthingmaps/val2017/7.png", [11]), ["7.png", "holds 11"]),
        ("voc2012", lambda r: write_mask(r / "SegmentationClass/2007_val.png", [21]), ["2007_val.png", "21"]),
        ("camvid", lambda r: (r / "valannot/a.png").unlink(), ["1 of 1", "val/a.png", "valannot/a.png"]),
        ("cityscapes", lambda r: (r / "gtFine/val/ulm/ulm_1_gtFine_labelIds.png").unlink(), ["ulm_1_gtFine_labelIds"]),
        ("camvid", lambda r: (r / "val/a.png").unlink(), ["split val", "no image", "valannot"]),
        ("voc2012", lambda r: write_text(r / "ImageSets/Segmentation/val.txt", "\n"), ["val.txt", "lists no image"]),
        ("voc2012", lambda r: write_text(r / "ImageSets/Segmentation/val.txt", "../../x"), ["val.txt", "../../x"]),
        ("voc2012", lambda r: write_text(r / "ImageSets/Segmentation/val.txt", "none"), ["JPEGImages/none.jpg"]),
        ("voc2012", lambda r: (r / "SegmentationClass/2007_val.png").write_bytes(b"x"), ["2007_val.png", "no mask"]),
        (
            "voc2012",
            lambda r: Image.new("RGB", (6, 4)).save(r / "SegmentationClass/2007_val.png"),
            ["mode RGB", "colors have to be turned"],
        ),
        (
            "voc2012",
            lambda r: Image.new("I;16", (6, 4)).save(r / "SegmentationClass/2007_val.png"),
            ["mode I;16", "save it with 8 bits"],
        ),
        ("folder", lambda r: write_text(r / "classes.txt", "a\n\nb"), ["classes.txt", "line 2 is empty"]),
        ("folder", lambda r: write_text(r / "classes.txt", "a\na"), ["classes.txt", "line 2 repeats"]),
        ("folder", lambda r: write_text(r / "classes.txt", ""), ["classes.txt", "0 classes"]),
        ("folder", lambda r: write_text(r / "classes.txt", "\n".join(map(str, range(256)))), ["256 classes"]),
        ("folder", lambda r: (r / "classes.txt").write_bytes(b"\xff\xfe\x00"), ["classes.txt", "text"]),
        ("folder", lambda r: write_image(r / "images/val/north/a.png"), ["a.jpg", "a.png", "one name"]),
        ("coco-things", lambda r: write_image(r / "val2017/7.jpg", 8, 8), ["instances_val2017.json", "6x4", "8x8"]),
        ("coco-things", lambda r: (r / "val2017/7.jpg").unlink(), ["instances_val2017.json", "val2017"]),
    ],
)  # fmt: skip
def test_bad_copies_are_named(layout, break_it, says, tmp_path):
    text = broken(layout, tmp_path, break_it)
    for part in says:
        assert part in text, text


def announce(path, width, height):
    """Write a PNG of a few bytes that announces a picture of any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


@pytest.mark.parametrize(
    ("layout", "break_it", "says"),
    [
        ("camvid", lambda r: announce(r / "valannot/a.png", 60_000, 60_000), ["valannot/a.png", "announces more"]),
        ("camvid", lambda r: announce(r / "val/a.png", 60_000, 60_000), ["val/a.png", "announces more"]),
        ("camvid", lambda r: announce(r / "valannot/a.png", 6, 4), ["valannot/a.png", "cut off"]),
        ("voc2012", lambda r: write_text(r / "ImageSets/Segmentation/val.txt", "/etc/passwd"), ["val.txt", "absolute"]),
        ("voc2012", lambda r: (r / "ImageSets/Segmentation/val.txt").write_bytes(b"\xff\x00x"), ["val.txt"]),
        ("coco-things", lambda r: edit_instances(r, lambda c: c["images"][0].update(file_name="../7.jpg")), ["../7.jpg"]),
        ("coco-things", lambda r: edit_instances(r, lambda c: c["images"][0].update(height=10**9)), ["1 to 65535"]),
        ("coco-things", lambda r: edit_instances(r, lambda c: c["annotations"][2]["segmentation"].update(counts="~")), ["counts"]),
        ("coco-things", lambda r: edit_instances(r, lambda c: c["annotations"][0].pop("segmentation")), ["no segmentation"]),
        ("coco-things", lambda r: edit_instances(r, lambda c: c["categories"].clear()), ["categories"]),
        ("coco-things", lambda r: edit_instances(r, more_categories), ["300 categories"]),
        ("coco-things", lambda r: write_text(r / "annotations/instances_val2017.json", "[" * 10**5), ["not valid JSON"]),
        ("folder", lambda r: write_text(r / "classes.txt", "a\x1b[2J\nb"), ["classes.txt", "line 1"]),
    ],
)  # fmt: skip
def test_hostile_copies_end_in_one_error(layout, break_it, says, tmp_path):
    text = broken(layout, tmp_path, break_it)
    for part in says:
        assert part in text, text


def edit_instances(root, change):
    content = instances()
    change(content)
    for split in ("train2017", "val2017"):
        write_text(root / f"annotations/instances_{split}.json", json.dumps(content))


def more_categories(content):
    content["categories"] = [{"id": number, "name": f"c{number}"} for number in range(1, 301)]


def test_folders_that_lead_into_themselves_are_read_once(tmp_path):
    write_layout("camvid", tmp_path)
    (tmp_path / "val/again").symlink_to(tmp_path / "val")
    assert open_segmentation(tmp_path).split("val").names == ("a",)


def test_names_that_no_record_can_hold_are_refused_before_anything_is_computed(tmp_path):
    write_layout("camvid", tmp_path)
    for folder in ("val", "valannot"):
        for path in (tmp_path / folder).iterdir():
            path.rename(os.fsdecode(os.fsencode(tmp_path / folder) + b"/caf\xe9" + path.suffix.encode()))
    with pytest.raises(UserError, match=r"caf.*is not in UTF-8"):
        open_segmentation(tmp_path).split("val")


def test_a_class_list_of_other_editors(tmp_path):
    write_layout("folder", tmp_path)
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfground\r\nsky\r\n\r\n")
    assert open_segmentation(tmp_path).classes == ("ground", "sky")


def test_categories_of_both_files_agree(tmp_path):
    def rename(root):
        content = instances()
        content["categories"][0]["name"] = "scarf"
        write_text(root / "annotations/instances_train2017.json", json.dumps(content))

    assert "differ in their categories" in broken("coco-things", tmp_path, rename)


def test_two_layouts_in_one_folder_are_named(tmp_path):
    for layout in ("coco-things", "coco-stuff"):
        write_layout(layout, tmp_path)
    with pytest.raises(UserError, match="coco-things and coco-stuff"):
        open_segmentation(tmp_path)
    assert open_segmentation(tmp_path, "coco-stuff").name == "coco-stuff"
    with pytest.raises(UserError, match="Did you mean 'camvid'"):
        open_segmentation(tmp_path, "camvit")


def test_other_folders_are_refused(tmp_path):
    write_text(tmp_path / "notes.txt", "")
    with pytest.raises(UserError, match=r"notes\.txt"):
        open_segmentation(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        open_segmentation(tmp_path / "absent")
    write_layout("camvid", tmp_path)
    with pytest.raises(UserError, match=r"'tset'.*Valid: .*val"):
        open_segmentation(tmp_path).split("tset")
    with pytest.raises(UserError, match="split"):
        open_segmentation(tmp_path).split("../camvid")


def test_real_camvid(data_dir):
    data = open_segmentation(data_dir / "camvid")
    assert [data.is_official(name) for name in ("train", "val")] == [True, True]
    assert data.record_name("val") == "camvid-val"
    split = data.split("val")
    assert split.image(0).shape == (360, 480, 3)
    assert set(np.unique(split.mask(0)).tolist()) <= {*range(11), 255}
