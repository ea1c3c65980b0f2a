"""`python -m eval coco` from the command line on drawn pictures: train, resume, score again, plan, fail clearly."""

import csv
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.checkout import ROOT

from eval.__main__ import main
from eval.coco.run import FineTuning
from eval.finetune.weights import read_model, write_model
from eval.run import LOST
from flsl import weights
from flsl.checkpoint import load_encoder
from flsl.runtime.preemption import Preempted
from results.compare import compare_records
from results.store import read_record

SMOKE = ROOT / "configs" / "coco" / "mask-rcnn_smoke.py"


def test_a_run_leaves_a_complete_record(finished, checkpoint):
    record = read_record(finished / "record.json")
    assert (record.status, record.benchmark, record.protocol) == ("complete", "coco", "coco/mask-rcnn_smoke-modified@2")
    assert (record.dataset.name, record.dataset.official, record.dataset.items_evaluated) == (
        "synthetic-coco",
        False,
        4,
    )
    assert record.dataset.split == "val2017"
    assert record.model.fingerprint == load_encoder(checkpoint).fingerprint
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
    assert set(record.metrics) == {f"{kind}_{name}" for kind in ("box", "mask") for name in names}
    assert record.metrics["box_AP"].interval.unit == "images"
    assert record.metrics["mask_AP"].interval is not None
    assert record.config["training"]["iterations"] == 2
    assert {"training", "detection", "metrics"} <= set(record.timing.phases)
    for path in (*record.files.values(), "mmdet_config.py", "train/train.log"):
        assert (finished / path).stat().st_size > 0, path
    with open(finished / "classes.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["disc", "triangle", "star", "cross"]
    assert all(record.per_item[image].keys() == {"AP"} for image in record.per_item)
    assert 0 < len(record.per_item) <= 4  # by the id of the image


def test_scoring_saved_detections_gives_the_same_record(run, finished, tmp_path):
    before = read_record(finished / "record.json")
    predictions = finished / "detections.json"
    for backend in ("faster", "pycocotools"):
        out = tmp_path / backend
        arguments = ("--score-only", "--predictions", str(predictions), "--metric-backend", backend)
        assert run(out, *arguments, checkpoint=None) == 0
        record = read_record(out / "record.json")
        assert record.metrics == before.metrics
        assert record.model == before.model
        assert record.protocol == before.protocol
        assert compare_records(before, record).items == len(before.per_item)  # image by image


def test_outside_detections_are_never_taken_for_ours(run, finished, tmp_path):
    predictions = tmp_path / "theirs.json"
    predictions.write_bytes((finished / "detections.json").read_bytes())
    assert run(tmp_path / "out", "--score-only", "--predictions", str(predictions), checkpoint=None) == 0
    record = read_record(tmp_path / "out" / "record.json")
    assert (record.protocol, record.model.method) == ("coco/outside@1", "outside detector")


def test_a_finished_run_is_skipped_and_says_so(run, finished, capsys):
    before = (finished / "record.json").read_bytes()
    assert run(finished) == 0
    assert "skipped" in capsys.readouterr().out
    assert (finished / "record.json").read_bytes() == before


def test_test_only_uses_the_trained_detector(run, finished, tmp_path, capsys):
    assert run(tmp_path, "--test-only") == 2
    assert "there is no trained detector" in capsys.readouterr().err
    before = read_record(finished / "record.json")
    (tmp_path / "detector.safetensors").write_bytes((finished / "detector.safetensors").read_bytes())
    for key, before_and_asked, asked in (  # the record would say so
        ("training.weight_decay", "0.05 -> 0.1", 0.1),
        ("images.flip", "0.5 -> 0.25", 0.25),
        ("images.longest_side", "128 -> 160", 160),
        ("data.train_images", "train2017 -> val2017", "val2017"),
    ):
        assert run(tmp_path, "--test-only", **{key: asked}) == 2
        assert f"trained otherwise: {key}: {before_and_asked}" in capsys.readouterr().err
    assert run(tmp_path, "--test-only", "--seed", "1") == 0
    assert "train " not in capsys.readouterr().out
    record = read_record(tmp_path / "record.json")
    assert record.metrics == before.metrics
    assert record.seed == before.seed == 0  # of the training: it is no second one


def test_testing_or_scoring_again_keeps_what_the_training_cost_and_whose_folder_it_is(run, finished, tmp_path, capsys):
    out = shutil.copytree(finished, tmp_path / "out")
    before = read_record(finished / "record.json")
    for words, source in (["--test-only"], {}), (["--score-only"], {"checkpoint": None}):
        assert run(out, *words, **source) == 0
        after = read_record(out / "record.json")
        assert after.timing.phases.keys() >= before.timing.phases.keys()
        assert after.timing.phases["training"] == before.timing.phases["training"] < after.timing.wall_seconds
        assert after.timing.peak_memory_mib >= before.timing.peak_memory_mib
        assert (after.metrics, after.model, after.config) == (before.metrics, before.model, before.config)
        if words == ["--test-only"]:
            assert after.command == before.command  # repeats the run; without its training, nothing would
        capsys.readouterr()
        assert run(out) == 0  # the folder still is the training's
        assert "skipped" in capsys.readouterr().out

    # What is refused, for the weights' sake or the result's, changes nothing; a result is replaced at the user's word only.
    names = ("record.json", "run.json", "config.py", "detections.json")
    there = {name: (out / name).read_bytes() for name in names}
    for change, words in (
        ({"training.weight_decay": 0.1}, "trained otherwise: training.weight_decay: 0.05 -> 0.1"),
        ({"images.test_short_side": 64}, "holds another run: recipe.images.test_short_side: 96 -> 64"),
    ):
        assert run(out, "--test-only", **change) == 2
        assert words in capsys.readouterr().err
        assert {name: (out / name).read_bytes() for name in names} == there
    assert run(out, "--test-only", "--when-exists", "overwrite", **{"images.test_short_side": 64}) == 0
    after = read_record(out / "record.json")
    assert after.config["images"]["test_short_side"] == 64
    assert after.timing.phases["training"] == before.timing.phases["training"]

    # A record that nobody can read keeps nobody from writing another.
    (out / "record.json").write_text("{")
    assert run(out, "--test-only") == 2
    assert "is not valid" in capsys.readouterr().err
    assert run(out, "--test-only", "--when-exists", "overwrite") == 0
    assert read_record(out / "record.json").metrics == before.metrics


def test_detections_of_another_recipe_or_other_weights_are_not_taken_for_a_runs_own(
    run, finished, tmp_path, monkeypatch
):
    """Two tests with other thresholds were interrupted: the first had detected, the second had not."""
    out = shutil.copytree(finished, tmp_path / "out")
    (out / "record.json").unlink()  # a result is replaced at the user's word only
    few, many = ({"testing.score_threshold": value} for value in (0.9, 0.0))
    own = json.loads((out / "detections.json").read_text())
    assert min(found["score"] for found in own) < 0.9

    def stop(*_, **__):
        raise Preempted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(FineTuning, "score", stop)
        assert run(out, "--test-only", **few) == 75
    assert all(found["score"] > 0.9 for found in json.loads((out / "detections.json").read_text()))
    with monkeypatch.context() as patch:
        patch.setattr("eval.finetune.predict.predict", stop)
        assert run(out, "--test-only", **many) == 75
    assert run(out, **many) == 0
    assert json.loads((out / "detections.json").read_text()) == own
    assert read_record(out / "record.json").metrics == read_record(finished / "record.json").metrics

    # Other weights, though older than the detections: copied with their time, say.
    (out / "record.json").unlink()
    detected, weights = [], out / "detector.safetensors"
    metadata, state = read_model(weights, "detector")
    write_model(weights, "detector", {name: tensor + 0.01 for name, tensor in state.items()}, metadata)
    os.utime(weights, (0, 0))
    predict = importlib.import_module(
        "eval.finetune.predict"
    ).predict  # OpenMMLab, which takes seconds, is loaded by now
    monkeypatch.setattr("eval.finetune.predict.predict", lambda *of, **how: detected.append(of) or predict(*of, **how))
    assert run(out, **many) == 0
    assert len(detected) == 1
    (out / "record.json").unlink()
    assert run(out, **many) == 0
    assert len(detected) == 1  # its own are kept
    assert run(out, "--test-only", **many) == 0
    assert len(detected) == 1
    assert LOST not in read_record(out / "record.json").warnings
    (out / "record.json").unlink()
    assert run(out, "--test-only", **many) == 0
    assert len(detected) == 1
    assert LOST in read_record(out / "record.json").warnings  # of how long they took to make
    assert run(out, "--test-only", "--when-exists", "overwrite", **many) == 0
    assert len(detected) == 2


def test_a_run_that_ended_after_its_training_records_what_that_cost(run, finished, tmp_path):
    out = shutil.copytree(finished, tmp_path / "out")
    (out / "record.json").unlink()
    assert run(out) == 0
    before, after = (read_record(folder / "record.json").timing for folder in (finished, out))
    assert before.phases["training"] * 0.5 < after.phases["training"] < after.wall_seconds


def test_a_run_reads_its_checkpoint_once(run, checkpoint, tmp_path, monkeypatch):
    """A large one takes a minute from a network's disk, and its memory, each time."""
    read, paths = weights.read_weights, []
    monkeypatch.setattr("flsl.checkpoint.read_weights", lambda path: paths.append(Path(path)) or read(path))
    assert run(tmp_path / "out") == 0
    assert paths == [checkpoint]


def test_a_slurm_job_does_the_same_run(data, checkpoint, tiny, tmp_path):
    """Under submitit's local executor, one task."""
    from eval.__main__ import COMMANDS
    from flsl.runtime.program import build_parser
    from flsl.runtime.slurm import submit

    out = tmp_path / "out"
    words = ["coco", "--checkpoint", str(checkpoint), "--data", str(data), "--out", str(out), "--config", str(SMOKE)]
    words += [f"--set={key}={value}" for key, value in tiny.items()]
    arguments = build_parser("eval", None, COMMANDS, "eval.{}.command").parse_args(
        [*words, "--gpus", "1", "--hours", "1"]
    )
    assert submit(arguments.run, arguments, cluster="local").result() == 0
    assert read_record(out / "record.json").status == "complete"


def test_slurm_where_there_is_none_is_explained(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(tmp_path / "out", "--launcher", "slurm") == 2
    assert "sbatch" in capsys.readouterr().err


def test_overwrite_trains_anew(run, tmp_path, capsys):
    assert run(tmp_path) == 0
    first = (tmp_path / "detector.safetensors").stat().st_ino
    assert run(tmp_path, "--when-exists", "overwrite", **{"training.learning_rate": 5e-4}) == 0
    assert (tmp_path / "detector.safetensors").stat().st_ino != first
    assert run(tmp_path, "--when-exists", "fail") == 2
    assert "holds a run already" in capsys.readouterr().err


def test_bfloat16_keeps_scores_and_boxes_in_full_precision(run, tmp_path):
    out = tmp_path / "out"
    assert run(out, **{"training.precision": "bf16", "testing.precision": "bf16"}) == 0
    found = json.loads((out / "detections.json").read_text())
    for values in ([d["score"] for d in found], [d["bbox"][2] for d in found]):
        values = torch.tensor(values)
        assert (values != values.bfloat16().float()).float().mean() > 0.5


def test_plan_counts_and_measures_and_keeps_nothing(run, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(out, "--plan", **{"training.iterations": 900}) == 0
    shown = capsys.readouterr().out
    assert "5 images, batch 2: 900 iterations" in shown  # the sixth has no annotation
    assert "a tenth after 600 and 825" in shown
    for word in ("s a step", "detect  4 images", "memory", "disk", "Nothing was started"):
        assert word in shown
    assert not out.exists()


def test_bench_reports_every_part_and_keeps_nothing(run, tmp_path, capsys, monkeypatch):
    from eval.coco import bench

    monkeypatch.setattr(bench, "SCORED_IMAGES", 20)
    out = tmp_path / "out"
    assert run(out, "bench") == 0
    shown = capsys.readouterr().out
    for words in ("step ", "waiting for data", "detection ", "pasting", "encoding", "memory ", "scoring 20 images"):
        assert words in shown
    for kind in ("box", "mask"):
        assert re.search(rf"{kind} +faster \S+ s, pycocotools \S+ s \(\S+ times\); interval", shown)
    assert not out.exists()


def test_bench_needs_nothing(tiny, tmp_path, capsys, monkeypatch):
    from eval.coco import bench

    monkeypatch.setattr(bench, "SCORED_IMAGES", 20)
    monkeypatch.setattr("eval.finetune.probe.STEPS", 3)
    sets = [f"--set={key}={value}" for key, value in tiny.items()]
    assert main(["coco", "bench", *sets, "--json", str(tmp_path / "rows.json")]) == 0
    assert "interval" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["images_per_second"] == pytest.approx(row["batch"] / row["step_seconds"])
    assert row["network_seconds"] < row["image_seconds"]


def test_boxes_alone_are_scored_as_boxes_alone(run, finished, tmp_path):
    """A box is no mask: results without masks get no mask figures, whatever the recipe's detector."""
    found = json.loads((finished / "detections.json").read_text())
    predictions = tmp_path / "boxes.json"
    predictions.write_text(json.dumps([{k: v for k, v in d.items() if k != "segmentation"} for d in found]))
    assert run(tmp_path / "out", "--score-only", "--predictions", str(predictions), checkpoint=None) == 0
    metrics = read_record(tmp_path / "out" / "record.json").metrics
    assert len(metrics) == 12
    assert metrics["box_AP"].value == read_record(finished / "record.json").metrics["box_AP"].value


def test_splits_with_other_categories_are_refused_before_training(run, data, tmp_path, capsys):
    broken = break_annotations(data, tmp_path / "data", lambda content: None)
    path = broken / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    content["categories"][0]["name"] = "oval"
    path.write_text(json.dumps(content))
    assert run(tmp_path / "out", data=broken) == 2
    shown = capsys.readouterr()
    assert "differ in their categories" in shown.err
    assert "train 1/" not in shown.out


def break_annotations(data, folder, change):
    """Copy the data's annotations to `folder`, changed; images are linked."""
    (folder / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (folder / split).symlink_to(data / split)
        name = f"instances_{split}.json"
        content = json.loads((data / "annotations" / name).read_text())
        change(content)
        (folder / "annotations" / name).write_text(json.dumps(content))
    return folder


ERRORS = {
    "duplicate ids": (lambda c: c["annotations"].append(c["annotations"][0]), "come more than once in 'annotations'"),
    "missing image": (lambda c: c["images"][0].update(file_name="gone.jpg"), "names 1 images that are not in"),
    "unknown category": (lambda c: c["categories"].pop(), "is not in 'categories'"),
    "nothing to find": (lambda c: c["annotations"].clear(), "has no annotation of an object"),
    "a name upwards": (lambda c: c["images"][0].update(file_name="../x.jpg"), "images[0]: file_name: '../x.jpg'"),
    "an empty code": (
        lambda c: c["annotations"][0].update(segmentation={"size": [96, 128], "counts": "0"}),
        "covers 0",
    ),
}


@pytest.mark.parametrize("what", ERRORS)
def test_broken_annotations_are_one_paragraph_and_code_2(run, data, tmp_path, capsys, what):
    change, message = ERRORS[what]
    assert run(tmp_path / "out", data=break_annotations(data, tmp_path / "data", change)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error


def test_category_gaps_and_flat_boxes_are_fine(run, data, tmp_path):
    def change(content):
        for entry in content["categories"]:
            entry["id"] *= 1000
        for annotation in content["annotations"]:
            annotation["category_id"] *= 1000
        content["annotations"][0]["bbox"][2] = 0

    broken = break_annotations(data, tmp_path / "data", change)
    assert run(tmp_path / "out", data=broken) == 0
    record = read_record(tmp_path / "out" / "record.json")
    assert any("boxes without area" in warning for warning in record.warnings)
    found = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert {result["category_id"] for result in found} <= {1000, 3000, 4000, 9000}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"checkpoint": None}, "--checkpoint is missing"),
        ({"checkpoint": "nothing.safetensors"}, "nothing.safetensors does not exist"),
        ({"data": Path("nowhere")}, "nowhere is not a folder"),
        ({"training.iteration": 3}, "Did you mean 'iterations'"),
        ({"training.precision": "fp16"}, "needs a CUDA device"),
    ],
)
def test_wrong_arguments_are_named(run, tmp_path, capsys, arguments, message):
    assert run(tmp_path / "out", **arguments) == 2
    assert message in capsys.readouterr().err


def test_an_empty_folder_is_named(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "out", data=tmp_path / "empty") == 2
    assert "is empty. It must hold annotations/instances_train2017.json" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    shown = subprocess.run([sys.executable, "-m", "eval", "coco", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert "--score-only" in shown.stdout
    code = "import sys, eval.coco.command; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
