"""UAVDT as a COCO file; pictures held out for k-NN."""

import json
from pathlib import Path

import pytest

from eval.data.holdout import hold_out
from eval.knn.data import read_box_data
from flsl.runtime.errors import UserError


def test_prepare_writes_boxes_and_crowds(drawn, data_command, tmp_path, capsys):
    out = tmp_path / "test.json"
    assert data_command("prepare", "uavdt", drawn["uavdt"], "--split", "test", "--out", out) == 0
    content = json.loads(out.read_text())
    assert [image["file_name"] for image in content["images"]] == [
        f"UAV-benchmark-M/M0203/img{number:06d}.jpg" for number in (1, 2, 3)
    ]
    truth = drawn["uavdt"] / "UAV-benchmark-MOTD_v1.0" / "GT"
    rows = (truth / "M0203_gt_whole.txt").read_text().splitlines()
    ignored = (truth / "M0203_gt_ignore.txt").read_text().splitlines()
    crowds = [a["iscrowd"] for a in content["annotations"]]
    assert crowds.count(0) == len(rows)
    assert crowds.count(1) == 3 * len(ignored)
    assert {c["name"] for c in content["categories"]} == {"car", "truck", "bus"}
    assert data_command("prepare", "uavdt", tmp_path / "absent", "--split", "test", "--out", out) == 2
    assert "absent" in capsys.readouterr().err


def test_drawn_pictures_stay_drawn_when_some_are_held_out(drawn, data_command, tmp_path):
    assert data_command("prepare", "images", drawn["images"], "--out", tmp_path / "out", "--val-every", 2) == 0
    assert read_box_data(tmp_path / "out").name == "synthetic-images"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dataset.json", "train", "val"]
    assert data_command("verify", "images", tmp_path / "out") == 0


def test_pictures_that_are_half_held_out_are_no_data(drawn, tmp_path, monkeypatch):
    """Where the program ends between two links, k-NN must find nothing, and the same command starts again."""
    link, made = Path.symlink_to, []

    def stop_in_the_middle(path, target):
        made.append(path)
        if len(made) == 4:
            raise KeyboardInterrupt
        link(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "symlink_to", stop_in_the_middle)
        with pytest.raises(KeyboardInterrupt):
            hold_out(drawn["images"], tmp_path / "out", 2)
    assert len(made) == 4
    assert not [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")]
    assert hold_out(drawn["images"], tmp_path / "out", 2) == (6, 3)
    assert len(read_box_data(tmp_path / "out").val) == 3


def test_links_that_lead_nowhere_and_folders_among_the_pictures(drawn, data_command, tmp_path, capsys):
    folder = drawn["images"] / "train"
    assert data_command("prepare", "images", folder, "--out", folder / "out") == 2
    assert "lies among the pictures" in capsys.readouterr().err
    assert not (folder / "out").exists()
    (tmp_path / "in" / "a").mkdir(parents=True)
    for number in range(2):
        (tmp_path / "in" / "a" / f"{number}.jpg").symlink_to(f"{number}.jpg")
    assert data_command("prepare", "images", tmp_path / "in", "--out", tmp_path / "out", "--val-every", 2) == 0
    with pytest.raises(UserError, match="symbolic links"):
        read_box_data(tmp_path / "out")
