"""Two processes train and evaluate one detector together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eval.data.synthesize import synthesize
from results.store import read_record

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "configs" / "coco"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_two_processes_train_one_detector(tmp_path):
    """torchrun with two CPU processes: one record, every image once."""
    synthesize("coco", tmp_path / "data", 0, count=8, val_count=5, height=96, width=128)
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
    assert done.stdout.count("coco/mask-rcnn_smoke-modified@2 synthetic-coco") == 1
