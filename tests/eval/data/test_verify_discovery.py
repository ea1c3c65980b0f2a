"""Copies of object discovery's data: every damage is named, all of them at once, and official copies are told from parts."""

import json
import shutil

import pytest
from support.discovery_data import coco_20k, voc

from eval.data.verify import discovery

NAMES = ["000005", "000007", "000009"]


def say(data_command, capsys, root, *more, code=2):
    assert data_command("verify", "discovery", root, "--limit", 500, *more) == code
    return capsys.readouterr().out


def corrupt(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


DAMAGE = [
    (lambda r: (r / "JPEGImages/000005.jpg").unlink(), "JPEGImages/000005.jpg: the file is missing"),
    (lambda r: corrupt(r / "JPEGImages/000005.jpg"), "JPEGImages/000005.jpg: the file is cut off"),
    (lambda r: (r / "Annotations/000007.xml").unlink(), "Annotations/000007.xml is not a box file"),
    (lambda r: corrupt(r / "Annotations/000009.xml"), "Annotations/000009.xml is not a box file"),
    (lambda r: edit(r / "Annotations/000007.xml", ">40<", ">2<"), "the box 3, 5, 2, 30 ends before it begins"),
    (lambda r: edit(r / "Annotations/000005.xml", ">30<", ">4<"), "the box 3, 5, 40, 4 ends before it begins"),
    (
        lambda r: [edit(r / "Annotations/000005.xml", *pair) for pair in ((">3<", ">71<"), (">40<", ">90<"))],
        "Annotations/000005.xml: the box 71, 5, 90, 30 lies outside its image of 70x50",
    ),
    (lambda r: (r / "ImageSets/Main/trainval.txt").unlink(), "ImageSets/Main/trainval.txt cannot be read"),
    (lambda r: (r / "ImageSets/Main/trainval.txt").write_text(" ".join([*NAMES, "000007"])), "names 000007 twice"),
    (lambda r: (r / "ImageSets/Main/trainval.txt").write_text(" ".join([*NAMES, "../x"])), "another folder"),
    (
        lambda r: (r / "ImageSets/Main/trainval.txt").write_text(" ".join([*NAMES, "2008_000001"])),
        "trainval.txt: 2008_000001 is no name of voc2007",
    ),
    (lambda r: [(r / f"Annotations/{n}.xml").write_text("<a/>") for n in NAMES], "there is nothing to discover"),
]


def test_each_damage_of_voc_is_named(data_command, tmp_path, capsys):
    for index, (damage, expected) in enumerate(DAMAGE):
        damage(root := voc(tmp_path / str(index), NAMES))
        out = say(data_command, capsys, root)
        assert expected in out, (expected, out)
        assert "--> " in out
        assert "broken: 1 problem\n" in out


def test_all_that_is_wrong_is_listed_at_once(data_command, tmp_path, capsys):
    root = voc(tmp_path / "VOCdevkit/VOC2007", NAMES)
    for name in NAMES:
        corrupt(root / f"JPEGImages/{name}.jpg")
        edit(root / f"Annotations/{name}.xml", "<name>dog</name>", "")
    (root / "ImageSets/Main/trainval.txt").write_text(" ".join([*NAMES, *NAMES[:2], "holiday", "../x"]))
    out = say(data_command, capsys, tmp_path)
    assert "broken: 10 problems" in out
    assert all(f"problem: JPEGImages/{name}.jpg: the file is cut off" in out for name in NAMES)
    assert all(f"problem: Annotations/{name}.xml is not a box file" in out for name in NAMES)
    assert all(text in out for text in ("names 000005 twice", "names 000007 twice", "holiday", "another folder"))
    assert "VOCtrainval_06-Nov-2007.tar" in out


@pytest.mark.parametrize(
    ("names", "kind", "official"),
    [(NAMES, "voc2007", "5,011"), (["2008_000002", "2011_003353"], "voc2012", "11,540")],
)
def test_a_sound_copy_is_a_subset_until_it_has_the_official_number(
    names, kind, official, data_command, tmp_path, capsys, monkeypatch
):
    root = voc(tmp_path / "voc", names)
    (root / f"Annotations/{names[0]}.xml").write_text("<a/>")
    out = say(data_command, capsys, root, code=0)
    assert "a subset: results on it are not comparable" in out
    assert f"official are {official} images in trainval" in out
    found = [line.split("│")[2].strip() for line in out.splitlines() if line.startswith("│")]
    assert found == [str(len(names)), str(len(names) - 1), "1"]
    monkeypatch.setitem(discovery.VOC, kind, (len(names), *discovery.VOC[kind][1:]))
    assert "fine: the complete official copy" in say(data_command, capsys, root, code=0)


def test_quick_reads_headers_of_images_only(data_command, tmp_path, capsys):
    corrupt(voc(tmp_path / "voc", NAMES) / "JPEGImages/000005.jpg")
    say(data_command, capsys, tmp_path / "voc", "--quick", code=0)
    say(data_command, capsys, tmp_path / "voc")


def test_coco_20k_is_checked_by_its_list(drawn, data_command, tmp_path, capsys, monkeypatch):
    root = coco_20k(tmp_path / "coco", drawn["coco"])
    listed = root / "coco_20k_filenames.txt"
    names = listed.read_text().split()
    unlisted = json.loads((root / "annotations/instances_train2014.json").read_text())["images"][len(names) :]
    for image in unlisted:
        (root / "train2014" / image["file_name"]).unlink()
    assert "a subset" in say(data_command, capsys, root, code=0)
    monkeypatch.setattr(discovery, "COCO_20K", len(names))
    monkeypatch.setattr(discovery, "TRAIN2014_ANNOTATIONS", 0)
    assert "a subset" in say(data_command, capsys, root, code=0)  # as many images, but of another file
    listed.write_text("\n".join([*names, "train2014/absent_1.jpg", "train2014/absent_2.jpg"]))
    corrupt(root / names[0])
    out = say(data_command, capsys, root)
    assert "broken: 3 problems" in out
    assert all(text in out for text in ("lacks absent_1.jpg", "lacks absent_2.jpg", f"{names[0]}: the file is cut off"))
    assert "train2014.zip (2014 Train images)" in out
    assert "annotations_trainval2014.zip" in out


def test_data_in_cocos_layout_and_other_folders(drawn, data_command, tmp_path, capsys):
    assert "fine: complete synthetic data" in say(data_command, capsys, drawn["coco"], code=0)
    root = shutil.copytree(drawn["coco"], tmp_path / "copy")
    (root / "dataset.json").unlink()
    shutil.rmtree(root / "train2017")  # discovery reads val2017 alone
    assert "a subset" in say(data_command, capsys, root, code=0)
    corrupt(min((root / "val2017").iterdir()))
    assert "the file is cut off" in say(data_command, capsys, root)
    for place, text in (
        (tmp_path / "absent", "is not a folder"),
        (tmp_path, "holds neither"),
        (drawn["davis"], "verify davis"),
    ):
        assert data_command("verify", "discovery", place) == 2
        assert text in capsys.readouterr().err
