"""Every kind of damage is found, named with its file, and answered with exit code 2."""

import dataclasses
import json
import re
import shutil

import pytest
from support.damage import (
    DAMAGE,
    TRUTH,
    VAL,
    cut_in_half,
    edit_json,
    rename,
)

from eval.segment.datasets import LAYOUTS


@pytest.mark.parametrize("benchmark", DAMAGE)
def test_each_damage_is_named(benchmark, drawn, data_command, tmp_path, capsys):
    """Copies of one drawn data set, each with one thing broken."""
    for index, (damage, expected) in enumerate(DAMAGE[benchmark]):
        root = shutil.copytree(drawn[benchmark], tmp_path / str(index))
        (root / "dataset.json").unlink()  # as real data
        damage(root)
        assert data_command("verify", benchmark, root, "--limit", 500) == 2, expected
        out = capsys.readouterr().out
        assert expected in out, (expected, out)
        assert "-->" in out
        assert "broken:" in out
        for line in (line for line in out.splitlines() if line.startswith("problem: ")):
            place = re.split(r"[:,]? ", line)[1]
            assert "/" not in place or line.count(place) == 1, line


def test_all_problems_are_listed_up_to_the_limit(drawn, data_command, tmp_path, capsys):
    root = shutil.copytree(drawn["coco"], tmp_path / "coco")
    for path in (root / "train2017").iterdir():
        cut_in_half(path)
    edit_json(root, lambda c: c["annotations"][0].update(category_id=2))
    assert data_command("verify", "coco", root, "--limit", 2) == 2
    out = capsys.readouterr().out
    assert out.count("cut off") == 2
    assert "and 3 more" in out
    assert "category_id 2" in out
    assert "broken: 6 problems" in out


def test_quick_reads_headers_only(drawn, data_command, tmp_path):
    root = shutil.copytree(drawn["images"], tmp_path / "images")
    cut_in_half(next(root.rglob("*.jpg")))
    assert data_command("verify", "images", root, "--quick") == 0
    assert data_command("verify", "images", root) == 2


@pytest.mark.parametrize("benchmark", DAMAGE)
def test_a_copy_with_the_official_counts_is_complete(
    benchmark, drawn, draw_small, data_command, tmp_path, monkeypatch, capsys
):
    """With the official numbers set to those of a drawn copy."""
    from eval.data.verify import coco, images, jhmdb, uavdt, vip, ytvos
    from eval.davis.edition import DAVIS_2017, Official

    root = tmp_path / "copy"
    if benchmark == "davis":
        draw_small("davis", root, "--height", 480, "--width", 500, "--frames", 3, "--sequences", 1)
        monkeypatch.setitem(DAVIS_2017.official, "val", Official(sequences=1, frames=3, names=(VAL,)))
    else:
        shutil.copytree(drawn[benchmark], root)
    (root / "dataset.json").unlink()
    if benchmark == "segment":  # in the layout of CamVid
        for split in ("train", "val"):
            (root / "images" / split).rename(root / split)
            (root / "masks" / split).rename(root / f"{split}annot")
        (root / "classes.txt").unlink()
        as_camvid = LAYOUTS["camvid"]
        counts = {"train": 3, "val": 2}
        monkeypatch.setitem(LAYOUTS, "camvid", lambda *of: dataclasses.replace(as_camvid(*of), official=counts))
    if benchmark == "vip":
        monkeypatch.setattr(vip, "OFFICIAL", (VAL, "drawn-01"))
    if benchmark == "ytvos":
        counts = [
            json.loads(path.read_text())["videos"] for path in (root / "valid/meta.json", root / "train/meta.json")
        ]
        for split, videos in zip(("valid", "train"), counts):
            number = (len(videos), sum(len(video["objects"]) for video in videos.values()))
            monkeypatch.setitem(ytvos.OFFICIAL, split, number)
    if benchmark == "jhmdb":
        monkeypatch.setattr(jhmdb, "OFFICIAL_CLIPS", 2)
        monkeypatch.setattr(jhmdb, "OFFICIAL_ACTIONS", 2)
    if benchmark == "images":
        for index, path in enumerate(sorted((root / "train").iterdir())):
            rename(path, f"n{index:08d}")
        monkeypatch.setattr(images, "OFFICIAL", {"train": (3, 9)})
    if benchmark == "coco":
        contents = [json.loads((root / f"annotations/instances_{s}2017.json").read_text()) for s in ("train", "val")]
        counts = [(len(content["images"]), len(content["annotations"])) for content in contents]
        monkeypatch.setattr(coco, "OFFICIAL", dict(zip(("train2017", "val2017"), counts)))
        monkeypatch.setattr(coco, "CATEGORIES", 4)
        # Odd annotations of the published file itself are told, but are no fault of the copy.
        edit_json(root, lambda c: c["annotations"][0]["bbox"].__setitem__(2, 0))
    if benchmark == "uavdt":
        names = [path.name for path in (root / "UAV-benchmark-M").iterdir()]
        official = {
            name: dataclasses.replace(sequence, statistics=None, contents=None)
            for name, sequence in uavdt.official_sequences().items()
            if name in names
        }
        monkeypatch.setattr(uavdt, "official_sequences", lambda: official)
        monkeypatch.setattr(uavdt, "OFFICIAL_FRAMES", 12)
        truths = (root / TRUTH).glob("*_gt_whole.txt")
        monkeypatch.setattr(uavdt, "OFFICIAL_BOXES", sum(len(path.read_text().splitlines()) for path in truths))
    assert data_command("verify", benchmark, root) == 0
    out = capsys.readouterr().out
    assert "fine: the complete official copy" in out
    assert ("has no area" in out) == (benchmark == "coco")


def test_other_boxes_than_the_published_ones_are_told(data_dir, data_command, tmp_path, capsys):
    root = shutil.copytree(data_dir / "uavdt", tmp_path / "uavdt")
    data_command("verify", "uavdt", root)
    assert "other boxes" not in capsys.readouterr().out
    path = root / TRUTH / "M0208_gt_whole.txt"
    path.write_text(path.read_text().replace("61,1,546,307,15,19", "61,1,547,307,15,19"))
    data_command("verify", "uavdt", root)
    assert "other boxes than the published ones in M0208" in capsys.readouterr().out


@pytest.mark.parametrize("benchmark", DAMAGE)
def test_unmarked_sound_data_are_called_a_subset(benchmark, drawn, data_command, tmp_path, capsys):
    root = shutil.copytree(drawn[benchmark], tmp_path / "copy")
    (root / "dataset.json").unlink()
    assert data_command("verify", benchmark, root) == 0
    out = capsys.readouterr().out
    assert "a subset: results on it are not comparable with published ones" in out
    assert "official" in out


@pytest.mark.parametrize("benchmark", DAMAGE)
def test_wrong_folders(benchmark, drawn, data_command, tmp_path, capsys):
    assert data_command("verify", benchmark, tmp_path / "absent") == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert data_command("verify", benchmark, tmp_path / "empty") == 2
    assert "is empty" in capsys.readouterr().err
    other = "images" if benchmark != "images" else "coco"
    assert data_command("verify", benchmark, drawn[other]) == 2
    assert f"verify {other}" in capsys.readouterr().err
    (tmp_path / "parent").mkdir()
    shutil.copytree(drawn[benchmark], tmp_path / "parent" / "inner")
    assert data_command("verify", benchmark, tmp_path / "parent") == 2
    assert f"Did you mean {tmp_path / 'parent' / 'inner'}" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", ["vip", "jhmdb"])
def test_only_what_is_evaluated_has_to_be_there(benchmark, drawn, data_command, tmp_path, capsys):
    """Lists name the training videos too; whoever evaluates alone needs none of them."""
    root = shutil.copytree(drawn[benchmark], tmp_path / "copy")
    (root / "dataset.json").unlink()
    if benchmark == "vip":
        (root / "lists/train_videos.txt").write_text("drawn-train\n")
    else:
        shutil.rmtree(root / "Rename_Images/walk/drawn_train_00")
        shutil.rmtree(root / "joint_positions/walk/drawn_train_00")
    assert data_command("verify", benchmark, root) == 0
    assert "1 train " in capsys.readouterr().out


def test_the_official_validation_split_needs_no_more_than_first_masks_and_no_training_videos(
    data_command, draw_small, tmp_path, capsys
):
    root = tmp_path / "copy"
    assert draw_small("ytvos", root, "--given-only") == 0
    (root / "dataset.json").unlink()
    for folder in ("JPEGImages", "Annotations"):
        shutil.rmtree(root / "train" / folder)
    shutil.copytree(root / "valid/JPEGImages", root / "valid_all_frames/JPEGImages")
    assert data_command("verify", "ytvos", root) == 0
    assert "valid_all_frames frames" in capsys.readouterr().out
    (root / "train/meta.json").unlink()
    cut_in_half(root / f"valid_all_frames/JPEGImages/{VAL}/00005.jpg")
    assert data_command("verify", "ytvos", root) == 2
    out = capsys.readouterr().out
    assert "train/meta.json is missing: scoring, not predicting" in out
    assert f"valid_all_frames/JPEGImages/{VAL}/00005.jpg: the file is cut off" in out


def test_drawn_clips_without_a_training_split_are_fine(data_command, draw_small, tmp_path, capsys):
    """The list of nothing that was written for it was called broken."""
    assert draw_small("davis", tmp_path / "clips", "--train-sequences", 0) == 0
    assert data_command("verify", "davis", tmp_path / "clips") == 0, capsys.readouterr().out


def test_real_copies(data_dir, data_command, capsys):
    checks = {
        ("davis", "davis2017"): 0,
        ("davis", "davis2017_void"): 0,
        ("davis", "davis2016"): 0,
        ("coco", "coco_mini"): 0,
        ("segment", "coco_mini"): 0,
        ("uavdt", "uavdt"): 2,
    }
    for (benchmark, folder), code in checks.items():
        if not (data_dir / folder).is_dir():
            pytest.skip(f"real data absent: {data_dir / folder}")
        assert data_command("verify", benchmark, data_dir / folder) == code, folder
        out = capsys.readouterr().out
        assert ("a subset" in out) == (code == 0)
        assert ("28 official val sequences are missing: bike-packing" in out) == (folder == "davis2017")
    assert "UAV-benchmark-M: the folder is missing" in out
    assert "--from-gt" in out
