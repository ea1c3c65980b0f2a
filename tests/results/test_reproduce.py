"""Reproduction: what is planned, skipped and left out, when a claim holds, the report, and what the machine can run."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flsl.runtime.errors import UserError
from results.benchmarks import BENCHMARKS
from results.compare import compare_records, holm
from results.doctor import CORE, Check, abilities, examine, largest_gpu
from results.paper import TABLES, adapter_of
from results.record import Metric
from results.report import report_data, report_page
from results.reproduce import Step, exit_code, judge_claims, make_plan, summary, tables_of
from results.store import read_record, write_record

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = "random:vit_micro/16"


@pytest.fixture
def dino(make_record, davis_scores, tmp_path):
    """Write a DINO ViT-S/16 record with given scores; returns (path, record)."""

    def write(j=60.2, f=63.4, **changes):
        record = make_record(method="DINO", metrics=davis_scores(j, f), **changes)
        path = write_record(record, tmp_path / "davis" / "record.json")
        return path, read_record(path)

    return write


def outcome(table, written):
    path, record = written
    claims = judge_claims(table, path, record)
    return claims, exit_code([Step(table, "skip", "", record=path)], claims)


def test_a_claim_holds_inside_the_tolerance_and_above(dino):
    claims, code = outcome("davis", dino())
    assert [(claim.verdict.metric, claim.verdict.word, claim.holds) for claim in claims] == [
        ("J&F", "reproduced", True),
        ("J", "reproduced", True),
        ("F", "reproduced", True),
    ]
    assert claims[0].interval == (pytest.approx(59.8), pytest.approx(63.8))
    assert code == 0
    assert outcome("davis", dino(70.0, 70.0))[1] == 0


def test_one_claim_that_does_not_hold_decides(dino):
    claims, code = outcome("davis", dino(60.2, 62.8))
    assert [claim.holds for claim in claims] == [True, True, False]
    assert code == 1


@pytest.mark.parametrize(
    "change", [{"official": False}, {"method": "FLSL"}, {"items_evaluated": 3, "status": "partial"}]
)
def test_what_has_no_reference_is_not_checked(make_record, tmp_path, change):
    path = write_record(make_record(**({"method": "DINO"} | change)), tmp_path / "record.json")
    claims, code = outcome("davis", (path, read_record(path)))
    assert all(claim.holds is None for claim in claims)
    assert code == 2


def test_a_table_left_out_is_said_by_the_exit_code(dino):
    path, record = dino()
    steps = [Step("davis", "skip", "", record=path), Step("coco", "leave out", "no data")]
    assert exit_code(steps, judge_claims("davis", path, record)) == 2


def test_tables_for_which_nothing_is_published_do_not_count(dino):
    path, record = dino()
    claims = judge_claims("davis", path, record)
    steps = [Step("davis", "skip", "", record=path), Step("ablations", "run", "no finished record yet")]
    assert exit_code(steps, claims) == 0
    assert exit_code([Step("knn", "leave out", "no adapter here")], []) == 2  # asked for alone


def test_the_first_lines_say_what_was_checked_and_what_not_and_why(dino):
    path, record = dino(60.2, 62.8)
    steps = [Step("davis", "skip", "", record=path), Step("coco", "leave out", "no data: none given")]
    checked, missing, others = summary(steps, judge_claims("davis", path, record))
    assert checked.startswith("Checked: 3 figures of Video object segmentation on DAVIS 2017")
    assert checked.endswith("(davis): 2 reproduced, 1 below.")
    assert missing.startswith("Not checked: Mask R-CNN on COCO")
    assert missing.endswith("(coco): no data: none given.")
    assert "knn" in others
    assert "coco" not in others


def test_all_are_the_tables_that_are_measured_here():
    assert tables_of("all") == [table for table in TABLES if adapter_of(table)]
    assert tables_of("knn") == ["knn"]


@pytest.mark.parametrize(
    ("config", "words", "tables"),
    [
        (["davis=x.py"], "measured without a recipe", ["davis", "coco"]),
        (["cocoo=x.py"], "Did you mean 'coco'", ["davis", "coco"]),
        (["x.py"], "davis or ablations is measured without a recipe", ["davis", "ablations"]),
        (["coco=x.py"], "coco is none of the tables asked for", ["davis", "uavdt"]),
    ],
)
def test_a_recipe_for_a_table_that_takes_none_is_refused(tmp_path, config, words, tables):
    with pytest.raises(UserError, match=words):
        make_plan(tables, CHECKPOINT, {"fingerprint": "12" * 32}, None, tmp_path, config=config)


@pytest.fixture
def finished(make_record, tmp_path, monkeypatch, cli):
    """Reproduce a table on records that are there; returns (exit code, output, messages, report)."""
    model = {"name": "x", "method": "Leopart", "architecture": "vit_small", "patch_size": 16, "fingerprint": "ab" * 32}
    monkeypatch.setattr("results.reproduce.inspect_checkpoint", lambda checkpoint: model)
    monkeypatch.setattr("results.reproduce.run_step", lambda step: 1)

    def run(table, *arguments):
        words = ["reproduce", table, "--checkpoint", "x.pth", "--out", tmp_path / "out", *arguments]
        code, out, err = cli(*words)
        report = tmp_path / "out" / "reproduction.json"
        return code, out, err, json.loads(report.read_text()) if report.exists() else None

    return run


def test_each_protocol_of_a_table_that_has_a_record_is_judged(make_record, write_records, finished, tmp_path):
    """One of them was, so that a claim by another protocol held whatever its record said."""
    linear = make_record(
        method="Leopart", benchmark="segmentation", protocol="voc2012/linear-leopart@1", metrics={"mIoU": Metric(69.4)}
    )
    clusters = replace(
        linear,
        protocol="voc2012/overclustering-leopart@1",
        metrics={"mIoU_K500": Metric(20.0)},
        headline="mIoU_K500",
    )
    code, _, _, report = finished("segmentation", "--records", write_records(linear, clusters))
    assert [(claim["metric"], claim["verdict"]) for claim in report["claims"]] == [
        ("mIoU", "reproduced"),
        ("mIoU_K500", "below"),
    ]
    assert code == 1
    page = (tmp_path / "out" / "reproduction.html").read_text()
    assert page.count(">mIoU</th>") == 1
    assert len(report["summary"]) == 1


def test_other_models_that_cannot_be_compared_are_named_and_the_report_is_written(make_record, write_records, finished):
    mine = write_records(make_record(method="DINO"))
    other = write_record(make_record(name="other", annotation_sha256="ee" * 32), mine.parent / "other.json")
    code, _, err, report = finished("davis", "--records", mine, "--against", other)
    assert (code, len(report["claims"]), report["comparisons"]) == (0, 3, [])
    assert "not compared: " in err
    assert "other" in err


def test_arguments_that_would_change_nothing_are_refused(make_record, write_records, finished):
    records = write_records(make_record(), make_record(protocol="davis2017/dinov3@1"))
    for words, said in (
        (["--records", records / "nothing"], "nothing does not exist"),
        (["--against", records / "run1" / "record.json"], "is by davis2017/dinov3@1, but davis by davis2017/dino@1"),
    ):
        code, _, err, report = finished("davis", *words)
        assert (code, said in err, report) == (2, True, None), err


def test_an_evaluation_that_failed_is_said_so_in_the_report(finished, tmp_path, monkeypatch):
    command = ("python", "-m", "eval", "davis")
    step = Step("davis", "run", "no finished record yet", command, tmp_path / "out" / "record.json")
    monkeypatch.setattr("results.reproduce.make_plan", lambda *_, **__: [step])
    code, _, _, report = finished("davis")
    assert (code, report["steps"][0]["reason"]) == (2, "the evaluation failed")
    assert report["summary"][0].endswith("the evaluation failed.")


@pytest.mark.parametrize("code", [0, 1, 2])
def test_make_names_the_programs_exit_code(tmp_path, code):
    """`make` itself knows only 0 and 2."""
    (tmp_path / "installed").touch()
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    words = ["make", "reproduce", f"RUN={program}", f"INSTALLED={tmp_path / 'installed'}", "CHECKPOINT=x", "DATA=y"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == (2 if code else 0)
    assert (f"reproduce: exit code {code} (1: a claim does not hold" in done.stderr) == bool(code)


def test_report_holds_every_claim_with_its_evidence(dino, make_record, davis_scores):
    path, record = dino(60.2, 62.8, name="dino <b>", files={"overlay": "overlay.png"}, warnings=["old torch"])
    (path.parent / "overlay.png").write_bytes(b"\x89PNG")
    other = make_record(name="other", per_item={"dog": {"J": 50.0}, "camel": {"J": 52.0}})
    comparison = holm([compare_records(record, other, "J")])
    steps = [Step("davis", "skip", "done already", record=path), Step("coco", "leave out", "no data: none given")]
    claims = judge_claims("davis", path, record)
    model = {
        "name": "dino <b>",
        "method": "DINO",
        "architecture": "vit_small",
        "patch_size": 16,
        "fingerprint": "ab" * 32,
    }
    data = report_data(model, steps, claims, {path: record}, comparison, exit_code(steps, claims))
    plain = json.loads(json.dumps(data))
    assert plain["outcome"] == {"exit_code": 1, "meaning": "a claim does not hold"}
    worst = plain["claims"][2]
    assert (worst["published"], worst["tolerance"], worst["verdict"]) == (63.4, 0.5, "below")
    assert worst["difference"] == pytest.approx(-0.6)
    page = report_page(data)
    for word in (
        "A claim does not hold",
        "DINO paper, Table 5",
        "±0.5",
        "newer PyTorch versions",
        "leave out: no data: none given",
        "old torch",
        "torch 2.14.1",
        "commit 0000",
        record.config_sha256,
        "cd" * 32,
        "data:image/png;base64,",
        "paired bootstrap",
        "dino &lt;b&gt;",
    ):
        assert word in page
    assert "dino <b>" not in page


def test_finished_records_of_the_same_encoder_are_skipped_with_a_reason(make_record, tmp_path):
    mine, other = "12" * 32, "00" * 32
    model = {"fingerprint": mine, "architecture": "vit_small", "patch_size": 16}
    write_record(make_record(fingerprint=mine, protocol="davis2017/dinov3@1"), tmp_path / "a" / "record.json")
    write_record(make_record(fingerprint=mine, items_evaluated=1, status="partial"), tmp_path / "b" / "record.json")
    write_record(make_record(fingerprint=other), tmp_path / "c" / "record.json")
    done = write_record(make_record(fingerprint=mine), tmp_path / "d" / "record.json")
    (step, knn) = make_plan(["davis", "knn"], CHECKPOINT, model, None, tmp_path / "out", records=[tmp_path])
    assert (step.action, step.record) == ("skip", done)
    assert str(done) in step.reason
    assert (knn.action, "no evaluation" in knn.reason) == ("leave out", True)


def test_a_record_on_drawn_data_does_not_answer_for_others(make_record, tmp_path, monkeypatch):
    """The first look at drawn data was the last: the real ones were never evaluated."""
    needs = {*CORE, *(need for benchmark in BENCHMARKS.values() for need in benchmark.needs), "gpu"}
    monkeypatch.setattr("results.reproduce._machine", lambda: [Check(need, "missing", "") for need in needs])
    mine = {"fingerprint": "12" * 32, "architecture": "vit_small", "patch_size": 16}
    out, drawn, real = (tmp_path / name for name in ("out", "drawn", "real"))
    record = make_record(fingerprint=mine["fingerprint"], official=False)
    record = replace(record, dataset=replace(record.dataset, name="synthetic-davis"))
    done = write_record(record, out / f"davis-{mine['fingerprint'][:12]}" / "record.json")
    for folder in (drawn, real):
        folder.mkdir()
    (drawn / "dataset.json").write_text(json.dumps({"name": "synthetic-davis", "synthetic": True}))
    for data, record in ((None, done), (drawn, done), (real, None)):
        (step,) = make_plan(["davis"], CHECKPOINT, mine, data, out)
        assert (step.action == "skip", step.record) == (record is not None, record), data


def test_a_finished_record_does_not_answer_for_a_recipe_that_is_named(make_record, coco_scores, tmp_path):
    mine = {"fingerprint": "12" * 32, "architecture": "vit_small", "patch_size": 16}
    coco = {"benchmark": "coco", "protocol": "coco/mask-rcnn_1x@1", "metrics": coco_scores()}
    record = make_record(fingerprint=mine["fingerprint"], **coco)
    done = write_record(record, tmp_path / "out" / f"coco-{mine['fingerprint'][:12]}" / "record.json")
    for config, found in (([], done), (["coco=mine.py"], None), (["mine.py"], None)):
        (step,) = make_plan(["coco"], CHECKPOINT, mine, None, tmp_path / "out", config=config)
        assert step.record == found, config


def test_a_checkpoint_that_is_none_is_refused_in_the_loaders_words(tmp_path, cli):
    (tmp_path / "x.pth").write_bytes(b"nothing")
    code, _, err = cli("reproduce", "davis", "--checkpoint", tmp_path / "x.pth", "--data", tmp_path)
    assert code == 2
    assert str(tmp_path / "x.pth") in err
    assert "Traceback" not in err


def test_doctor_names_the_remedy_for_opencv_without_libgl(tmp_path, monkeypatch):
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    checks = {check.name: check for check in examine()}
    assert checks["opencv"].state == "missing"
    assert "opencv-python-headless" in checks["opencv"].remedy
    assert checks["torch"].state == "ok"
    able = {check.name: check for check in abilities(list(checks.values()), largest_gpu(list(checks.values())))}
    assert able["tables, leaderboard"].state == "ok"
    assert able["davis"].state == "missing"
    assert "opencv" in able["davis"].found


def test_doctor_says_what_lacks_where_nothing_is_installed(tmp_path):
    blocked = "import sys\nfor n in ('torch', 'cv2', 'timm', 'mmcv'): sys.modules[n] = None\n"
    (tmp_path / "sitecustomize.py").write_text(blocked)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from results.__main__ import main; sys.exit(main(['doctor', '--json']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 1, done.stderr
    able = {check["name"]: check for check in json.loads(done.stdout)["can run"]}
    assert able["tables, leaderboard"]["state"] == "ok"
    assert able["pretrain"]["state"] == "missing"
    assert "torch" in able["pretrain"]["found"]


def test_doctor_names_what_it_cannot_check(tmp_path, monkeypatch, cli):
    for name in ("torch", "timm", "safetensors"):
        (tmp_path / f"{name}.py").write_text("__version__ = '1'\n")
    (tmp_path / "torchvision.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, out, _ = cli("doctor", "--json")
    found = json.loads(out)
    checks = {check["name"]: check for check in found["checks"]}
    assert code == 1
    assert checks["torch"]["state"] == "ok"
    assert (checks["torchvision"]["state"], "code -9" in checks["torchvision"]["found"]) == ("missing", True)
    for name in ("timm", "opencv", "mmdet", "detector operators"):  # nobody knows, so it does not say that they lack
        assert (checks[name]["state"], "trying torchvision" in checks[name]["found"]) == ("unknown", True), name
    assert checks["gpu"]["state"] == "unknown"
    able = {check["name"]: check["state"] for check in found["can run"]}
    assert (able["tables, leaderboard"], able["davis"], able["coco"]) == ("ok", "unknown", "missing")
    assert "data verify" in found["cannot be checked here"]["data sets"]
    assert "pip install ./davis2017-evaluation" in checks["davis2017 (official)"]["remedy"]
    monkeypatch.chdir(tmp_path)
    assert "whether results are the published ones" in cli("doctor")[1]


@pytest.mark.slow
def test_runs_what_is_missing_and_then_skips_it(tmp_path, cli):
    drawn = [sys.executable, "-m", "eval", "data", "synthesize", "davis", str(tmp_path / "davis2017")]
    subprocess.run([*drawn, "--sequences", "2", "--frames", "6"], check=True, cwd=ROOT, capture_output=True)
    arguments = ["reproduce", "all", "--checkpoint", CHECKPOINT, "--data", tmp_path, "--out", tmp_path / "out"]
    code, out, _ = cli(*arguments)
    assert code == 2
    data = json.loads((tmp_path / "out" / "reproduction.json").read_text())
    assert {step["table"] for step in data["steps"] if step["action"] == "run"} == {"davis"}
    assert not any("overwrite" in step["command"] for step in data["steps"])  # an interrupted run goes on
    assert "not the official data" in data["claims"][0]["reason"]
    assert "data:image/png;base64," in (tmp_path / "out" / "reproduction.html").read_text()
    code, out, _ = cli(*arguments)
    assert code == 2
    assert "is complete, of this encoder and protocol" in " ".join(out.replace("│", " ").split())


@pytest.mark.slow
def test_a_detector_is_trained_and_features_are_classified_where_only_these_data_are_there(tmp_path, cli):
    drawn = [sys.executable, "-m", "eval", "data", "synthesize", "coco", str(tmp_path / "coco")]
    subprocess.run([*drawn, "--count", "12", "--val-count", "4"], check=True, cwd=ROOT, capture_output=True)
    (tmp_path / "imagenet").symlink_to(tmp_path / "coco")
    config = tmp_path / "short.py"
    config.write_text(f"_base_ = {str(ROOT / 'configs/coco/mask-rcnn_smoke.py')!r}\ntraining = dict(iterations=2)\n")
    arguments = ["reproduce", "all", "--checkpoint", CHECKPOINT, "--data", tmp_path, "--config", config]
    code, out, _ = cli(*arguments, "--out", tmp_path / "out")
    assert code == 2, out
    data = json.loads((tmp_path / "out" / "reproduction.json").read_text())
    actions = {step["table"]: step["action"] for step in data["steps"]}
    assert {table for table, action in actions.items() if action == "run"} == {"coco", "ablations"}
    records = {path.parent.name.split("-")[0] for path in (tmp_path / "out").glob("*/record.json")}
    assert records == {"coco", "ablations"}
