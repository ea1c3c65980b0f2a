"""`python -m eval uavdt` from the command line to the records."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.uavdt_case import random_case, truth_of

from eval.__main__ import main
from eval.uavdt.files import SequenceDetections, write_detections
from eval.uavdt.layout import FRAMES, TRUTH
from flsl.runtime.errors import UserError
from results.store import read_record


@pytest.fixture
def evaluate(tmp_path, capsys):
    """Run the command: `evaluate(data, ...)` returns (exit code, printed output, --out)."""

    def run(data, *arguments, out=tmp_path / "out"):
        code = main(["uavdt", "--data", str(data), "--out", str(out), *map(str, arguments)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err, out

    return run


@pytest.fixture
def scored(make_copy, tmp_path):
    """A copy of the test split's layout and detections with categories on it."""
    pairs = [random_case(1, "M0203", 10), random_case(2, "M0205", 8)]
    for _, detections in pairs:
        write_detections(tmp_path / "det_MINE", detections)
    return make_copy([truth for truth, _ in pairs], size=(170, 110)), tmp_path / "det_MINE"


def test_scoring_saved_detections(scored, evaluate):
    data, predictions = scored
    code, printed, out = evaluate(data, "--score-only", "--predictions", predictions, "--name", "mine")
    assert code == 0, printed
    record, coco = read_record(out / "record.json"), read_record(out / "record_coco.json")
    assert (record.protocol, coco.protocol) == ("uavdt/official@1", "uavdt/coco@1")
    assert (record.model.name, record.model.method) == ("mine", "outside detector")
    assert (record.dataset.name, record.dataset.official) == ("uavdt-changed", False)
    assert (record.dataset.items_evaluated, record.dataset.item) == (18, "images")
    assert set(record.per_item) == {"M0203", "M0205"}
    ap = record.metrics["AP"]
    assert ap.interval.low < ap.value < ap.interval.high
    assert (ap.interval.unit, ap.interval.units) == ("images", 18)
    assert {"AP", "AP50", "AP75", "APs", "APm", "APl"} == set(coco.metrics)
    assert set(coco.per_item) == {"M0203", "M0205"}
    assert coco.per_item["M0203"]["AP"] != coco.per_item["M0205"]["AP"]
    assert coco.metrics["AP"].interval.low < coco.metrics["AP"].value
    with open(out / "official_tables.csv") as file:
        table = list(csv.DictReader(file))
    assert float(table[0]["AP"]) == ap.value
    with open(out / "coco_per_class.csv") as file:
        classes = [float(row["AP"]) for row in csv.DictReader(file)]
    assert np.mean(classes) == pytest.approx(coco.metrics["AP"].value)
    curve = np.load(out / "precision_recall.npz")
    assert curve["recall"].shape == curve["precision"].shape
    with Image.open(out / "overlay.png") as overlay:
        assert overlay.width == 2 * 560 + 24  # a frame of each of the two sequences
    for written in (record, coco):
        assert all((out / path).exists() for path in written.files.values())


def test_backends_write_the_same_coco_record(scored, evaluate, tmp_path):
    data, predictions = scored
    values = []
    for backend in ("faster", "pycocotools"):
        arguments = ("--score-only", "--predictions", predictions, "--metric-backend", backend)
        code, printed, out = evaluate(data, *arguments, out=tmp_path / backend)
        assert code == 0, printed
        values.append({name: m.value for name, m in read_record(out / "record_coco.json").metrics.items()})
    assert values[0] == pytest.approx(values[1], abs=1e-9)


def test_detections_without_categories_get_the_official_record_only(scored, evaluate):
    data, predictions = scored
    for path in predictions.glob("*.txt"):
        path.write_text("".join(line.rsplit(",", 1)[0] + ",-1\n" for line in path.read_text().splitlines()))
    code, printed, out = evaluate(data, "--score-only", "--predictions", predictions)
    assert code == 0
    assert "uavdt/coco@1 was not computed" in printed
    assert not (out / "record_coco.json").exists()
    assert "name no category" in read_record(out / "record.json").warnings[0]


def test_no_detection_at_all_scores_0(scored, evaluate):
    """What an untrained detector leaves."""
    data, predictions = scored
    for path in predictions.glob("*.txt"):
        path.write_text("")
    code, printed, out = evaluate(data, "--score-only", "--predictions", predictions)
    assert code == 0, printed
    assert read_record(out / "record.json").metrics["AP"].value == 0
    assert read_record(out / "record_coco.json").metrics["AP"].value == 0
    assert not (out / "official.png").exists()  # an empty plot says nothing


def test_ground_truth_alone_is_enough_to_score(scored, evaluate):
    data, predictions = scored
    code, _, out = evaluate(data, "--score-only", "--predictions", predictions)
    with_frames = read_record(out / "record.json").metrics["AP"].value
    shutil.rmtree(data / FRAMES)
    (data / TRUTH / "M0205_gt_ignore.txt").unlink()
    code, printed, out = evaluate(data, "--score-only", "--predictions", predictions, "--when-exists", "overwrite")
    assert code == 0, printed
    record = read_record(out / "record.json")
    assert record.metrics["AP"].value != with_frames  # M0205's ignore regions are gone
    assert record.dataset.items_evaluated == 1007 + 646
    assert any("no ignore file for M0205" in warning for warning in record.warnings)


def test_scoring_again_computes_again(scored, evaluate):
    data, predictions = scored
    evaluate(data, "--score-only", "--predictions", predictions)
    code, printed, _ = evaluate(data, "--score-only", "--predictions", predictions)
    assert code == 0
    assert "skipped" not in printed
    assert "uavdt/official@1" in printed
    code, printed, _ = evaluate(data, "--score-only", "--predictions", predictions, "--when-exists", "fail")
    assert code == 2


def test_mistakes_are_named(scored, evaluate, tmp_path):
    data, predictions = scored

    def message(*arguments, data=data):
        code, printed, _ = evaluate(data, *arguments)
        assert code == 2
        return printed

    scoring = ("--score-only", "--predictions", predictions)
    assert "--checkpoint is missing" in message()
    assert "--predictions goes with --score-only" in message("--predictions", predictions, "--checkpoint", "x")
    assert "is not a folder" in message("--score-only")  # no detections in --out
    assert "nowhere is not a folder" in message(*scoring, data=tmp_path / "nowhere")
    assert "holds no ground truth" in message(*scoring, data=predictions)
    (predictions / "M0205.txt").unlink()
    assert f"{predictions / 'M0205.txt'} is missing" in message(*scoring)
    shutil.rmtree(data / FRAMES)
    assert "the frames <sequence>/img000001.jpg and so on are needed" in message("--checkpoint", "random:vit_micro/16")


SMALL = """
protocol = "uavdt/faster-rcnn_test@1"
model = dict(detector="faster-rcnn", drop_path=0.0, fpn_channels=16, fc_channels=32, anchor_scale=2, rpn_samples=32,
             roi_samples=16, train_proposals=(100, 50), test_proposals=(100, 50), ignore_overlap=0.5)
images = dict(train_short_sides=(64,), test_short_side=64, longest_side=96, crop=False)
training = dict(batch=2, base_batch=2, iterations=2, learning_rate=1e-3, warmup_iterations=1, keep_empty_images=True)
testing = dict(batch=2, score_threshold=0.0, max_detections=20)
runtime = dict(workers=0)
frames = dict(train_stride=2)
"""


def test_training_to_records(make_copy, evaluate, tmp_path):
    boxes = [(frame, 10 + frame, 20, 24, 16, 1, 1, frame % 3 + 1) for frame in range(1, 6)]
    train = truth_of("M0101", 6, [*boxes, (5, 80, 50, 30, 30)], [(frame, 60, 0, 30, 20) for frame in range(1, 7)])
    test = truth_of("M0203", 4, boxes[:3], [(1, 60, 0, 30, 20)])
    data = make_copy([train, test])
    (data / "dataset.json").write_text(json.dumps({"name": "synthetic-uavdt", "seed": 0}))
    config = tmp_path / "small.py"
    config.write_text(SMALL)
    arguments = ("--checkpoint", "random:vit_micro/16", "--config", config, "--device", "cpu")
    code, printed, out = evaluate(data, *arguments)
    assert code == 0, printed
    record, coco = read_record(out / "record.json"), read_record(out / "record_coco.json")
    assert record.dataset.name == "synthetic-uavdt"
    assert record.model.architecture == coco.model.architecture == "vit_micro"
    assert record.config["frames"] == {"train_sequences": None, "train_stride": 2}
    (annotations,) = (out / "annotations").glob("train_*.json")
    document = json.loads(annotations.read_text())
    assert [image["frame"] for image in document["images"]] == [1, 3, 5]
    assert [80, 50, 16, 14] in [a["bbox"] for a in document["annotations"]]  # cut at the edge, for training
    rows = np.loadtxt(out / "detections" / "M0203.txt", delimiter=",", ndmin=2)
    assert set(rows[:, 0]) <= {1, 2, 3, 4}
    assert set(rows[:, 8]) <= {1, 2, 3}
    assert (out / "config.py").exists()
    assert {"overlay", "tables", "precision_recall"} <= record.files.keys()

    # The saved detections alone give the same records, for the same model.
    again = {name: read_record(out / name) for name in ("record.json", "record_coco.json")}
    code, printed, out = evaluate(data, "--score-only", "--when-exists", "overwrite")
    assert code == 0, printed
    for name, before in again.items():
        after = read_record(out / name)
        assert (after.metrics, after.model, after.config) == (before.metrics, before.model, before.config)

    code, printed, _ = evaluate(data, *arguments, "--test-only", "--when-exists", "overwrite")
    assert code == 0, printed
    assert "train " not in printed
    assert read_record(out / "record.json").metrics == record.metrics

    # Testing alone needs no training data, and says what the detector was trained on, not what is there.
    tested = shutil.copytree(data, tmp_path / "tested", ignore=shutil.ignore_patterns("M0101*", "dataset.json"))
    shutil.copytree(out, tmp_path / "moved")
    code, printed, moved = evaluate(
        tested, *arguments, "--test-only", "--when-exists", "overwrite", out=tmp_path / "moved"
    )
    assert code == 0, printed
    warnings = read_record(moved / "record.json").warnings
    assert "trained on 3 frames, not on the 24143 of the official training sequences" in warnings

    code, printed, planned = evaluate(data, *arguments, "--plan", out=tmp_path / "planned")
    assert code == 0, printed
    for words in ("train   3 images", "detect  4 images", "s a step", "Nothing was started"):
        assert words in printed
    assert not planned.exists()

    code, printed, planned = evaluate(data, "bench", *arguments, out=tmp_path / "planned")
    assert code == 0, printed
    for words in ("waiting for data", "detection ", "encoding", "memory "):
        assert words in printed
    assert "pasting" not in printed  # there are no masks
    assert not planned.exists()

    # A broken training frame stops the run with its name before anything is trained.
    (data / FRAMES / "M0101" / "img000003.jpg").write_bytes(b"broken")
    code, printed, _ = evaluate(data, *arguments, out=tmp_path / "other")
    assert code == 2
    assert "img000003.jpg cannot be read" in printed


def test_without_a_box_to_find_nothing_is_trained(make_copy, evaluate, tmp_path):
    data = make_copy([truth_of("M0101", 2, [(1, 10, 20, 24, 16)]), truth_of("M0203", 2)])
    config = tmp_path / "small.py"
    config.write_text(SMALL)
    code, printed, out = evaluate(data, "--checkpoint", "random:vit_micro/16", "--config", config, "--device", "cpu")
    assert code == 2
    assert "holds no box in M0203: there is nothing to test with" in printed
    assert not (out / "train").exists()


def test_recipes_can_be_read():
    from eval.finetune.recipe import read_recipe
    from eval.uavdt.run import UavdtRecipe

    folder = Path(__file__).resolve().parents[3] / "configs" / "uavdt"
    recipes = {path.stem: read_recipe(path, (), cls=UavdtRecipe) for path in folder.glob("*.py")}
    assert {"faster-rcnn_vit-s16_flsl_1x", "faster-rcnn_vit-s8_flsl_1x", "faster-rcnn_smoke"} <= recipes.keys()
    for recipe in recipes.values():
        assert recipe.model.detector == "faster-rcnn"
        assert recipe.model.ignore_overlap == 0.5  # ignore regions take part
        assert recipe.training.keep_empty_images
        assert recipe.testing.max_detections == 500
    published = recipes["faster-rcnn_vit-s16_flsl_1x"]
    assert (published.training.batch, published.training.learning_rate, published.training.epochs) == (16, 1e-4, 12)
    with pytest.raises(UserError, match="train_stride"):
        read_recipe(folder / "faster-rcnn_smoke.py", ["frames.train_strid=2"], cls=UavdtRecipe)


def test_detections_of_a_frame_may_be_in_any_order(tmp_path):
    frame = np.array([2, 1])
    box = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    write_detections(tmp_path, SequenceDetections("M0203", frame, box, np.array([0.5, 0.25]), np.array([3, -1])))
    assert (tmp_path / "M0203.txt").read_text() == "2,-1,1.0,2.0,3.0,4.0,0.5,1,3\n1,-1,5.0,6.0,7.0,8.0,0.25,1,-1\n"
