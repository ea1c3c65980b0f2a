"""UAVDT as a COCO file."""

import json


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
