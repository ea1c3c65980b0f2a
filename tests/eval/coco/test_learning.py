"""That the whole chain learns what can be learned: drawn scenes from scratch, and eight photographs by heart."""

import json
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.data.synthesize import synthesize
from results.store import read_record

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "coco" / "mask-rcnn_synthetic.py"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def train_and_score(data, out, checkpoint, *sets):
    """Train from scratch with the recipe; returns the record's metrics."""
    words = ["--checkpoint", checkpoint, "--data", str(data), "--out", str(out), "--config", str(CONFIG)]
    assert main(["coco", *words, *(f"--set={change}" for change in sets)]) == 0
    return read_record(out / "record.json").metrics


def test_drawn_scenes_are_solved_from_scratch(tmp_path):
    """A benchmark: within ten minutes on two idle cores."""
    synthesize("coco", tmp_path / "data", 0, count=2000, val_count=100, height=192, width=256)
    metrics = train_and_score(tmp_path / "data", tmp_path / "out", "random:vit_micro/8")
    assert metrics["box_AP50"].value >= 80
    assert metrics["mask_AP50"].value >= 75


def test_eight_photographs_are_learned_by_heart(data_dir, tmp_path):
    """Trained and evaluated on the same photographs, every object is found, those of a few pixels too."""
    source = data_dir / "coco_mini"
    content = json.loads((source / "annotations" / "instances_train2017.json").read_text())
    images = sorted({annotation["image_id"] for annotation in content["annotations"]})[:8]
    content["images"] = [image for image in content["images"] if image["id"] in images]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in images]
    data = tmp_path / "data"
    data.mkdir()
    (data / "instances.json").write_text(json.dumps(content))
    (data / "images").symlink_to(source / "train2017")
    files = [f"data.{split}_{kind}" for split in ("train", "val") for kind in ("annotations", "images")]
    places = [f"{name}={'instances.json' if name.endswith('annotations') else 'images'}" for name in files]
    # Nearly the photographs' own size; as many proposals as two giraffes that cover each other need.
    sizes = ["images.train_short_sides=(448,)", "images.test_short_side=448", "images.longest_side=640"]
    regions = [
        "model.window=None",
        "model.global_blocks=()",
        "model.rpn_samples=256",
        "model.test_proposals=(1000, 500)",
    ]
    changes = [*places, *sizes, *regions, "training.iterations=700", "images.flip=0.0"]
    metrics = train_and_score(data, tmp_path / "out", "random:vit_micro/16", *changes)
    assert metrics["box_AP50"].value >= 90
