"""That the whole chain learns: drawn scenes from scratch, eight real images by heart, two processes together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.data.synthesise.coco import synthesise
from results.store import read_record

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "configs" / "coco"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_drawn_scenes_are_solved_from_scratch(tmp_path):
    """Benchmark: box AP50 >= 80 and mask AP50 >= 75; ten minutes on two idle cores."""
    synthesise(tmp_path / "data", 0, count=400, val_count=40, height=192, width=256)
    arguments = ["--checkpoint", "random:vit_micro/8", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert main(["coco", *arguments, "--config", str(CONFIGS / "mask-rcnn_synthetic.py")]) == 0
    metrics = read_record(tmp_path / "out" / "record.json").metrics
    assert metrics["box_AP50"].value >= 80
    assert metrics["mask_AP50"].value >= 75


def test_eight_real_images_are_learned_by_heart(data_dir, tmp_path):
    """Trained and evaluated on the same eight photographs, every object is found."""
    source = data_dir / "coco_mini"
    content = json.loads((source / "annotations" / "instances_train2017.json").read_text())
    proper = [a for a in content["annotations"] if not a["iscrowd"] and a["area"] > 48**2]
    images = sorted({a["image_id"] for a in proper})[:8]
    content["images"] = [image for image in content["images"] if image["id"] in images]
    content["annotations"] = [a for a in proper if a["image_id"] in images]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "instances.json").write_text(json.dumps(content))
    (tmp_path / "data" / "images").symlink_to(source / "train2017")
    files = {"train_annotations": "instances.json", "train_images": "images"}
    files |= {name.replace("train", "val"): value for name, value in files.items()}
    sets = [f"--set=data.{name}={value}" for name, value in files.items()]
    sets += ["--set=training.iterations=600", "--set=images.flip=0.0"]
    arguments = [
        "--checkpoint",
        "random:vit_micro/16",
        "--data",
        str(tmp_path / "data"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["coco", *arguments, "--config", str(CONFIGS / "mask-rcnn_synthetic.py"), *sets]) == 0
    assert read_record(tmp_path / "out" / "record.json").metrics["box_AP50"].value >= 90


def test_two_processes_train_one_detector(tmp_path):
    """torchrun with two CPU processes: one record, every image once."""
    synthesise(tmp_path / "data", 0, count=8, val_count=5, height=96, width=128)
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29533", "-m", "eval", "coco"]
    command += ["--checkpoint", "random:vit_micro/16", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    command += ["--config", str(CONFIGS / "mask-rcnn_smoke.py"), "--set", "training.iterations=3"]
    command += ["--set", "testing.score_threshold=0.0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    record = read_record(tmp_path / "out" / "record.json")
    assert record.status == "complete"
    found = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert len({result["image_id"] for result in found}) == 5
    assert done.stdout.count("coco/mask-rcnn_smoke-modified@1 synthetic-coco") == 1
