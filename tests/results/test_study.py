"""Studies: what a study file may declare, which cells follow, how trials are chosen, and what the report says."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.studies import DAVIS, LINEAR, RECIPE, finish, finish_all, study_file

from flsl.checkpoint import load_encoder
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_text
from pretrain.recipe import read_recipe
from results.__main__ import main
from results.record import Metric
from results.store import read_record, write_record
from results.study.cells import open_cells
from results.study.declaration import read_study
from results.study.outcome import find, say
from results.study.report import score_rows, verdict


def test_trials_are_chosen_on_the_selection_and_reported_on_the_tests(tmp_path, place, capsys):
    study = study_file(tmp_path)
    cells = open_cells(read_study(study), place)
    assert set(cells.chosen().values()) == {None}
    finish_all(cells)
    assert {name: run.trial for name, run in cells.chosen().items()} == {"a": 1, "b": 1}
    command = ["study", str(study), "--data", str(place.data), "--out", str(place.out)]
    assert main([*command, "--report"]) == 0
    assert main(command) == 0  # everything is there, so nothing is run
    for written in ((place.out / f"study.{kind}").read_text() for kind in ("html", "md")):
        assert "Is a better than the floors, which learned nothing (random, pixels)? Yes" in written
        assert "Is a better than the other methods (b)? Yes: of 1 comparisons 1 better" in written
        assert "Is b better than the floors, which learned nothing (random, pixels)? Yes" in written
        assert "70.25" not in written  # means are over items too
        assert "73.75 ± 0.35 (2 seeds)" in written
        assert "optimizer.lr=2e-3" in written
    data = json.loads((place.out / "study.json").read_text())
    assert data["missing"] == []
    assert data["scores"]["a"]["davis clips val"]["seeds"] == 2
    assert data["scores"]["pixels"]["davis clips val"]["seeds"] == 1
    (care,) = [care for care in data["care"] if care["method"] == "a"]
    assert (care["trials"], care["images"], care["flops"]) == (2, 32, 32e9)
    assert care["selection"] == {"davis clips train": [43.5, 44.5]}
    hours = 4 * cells.trials()[0].batch_size / 8.0 / 3600  # four steps by 8 images per second
    assert (care["hours"], care["hours_of_all"]) == (pytest.approx(hours), pytest.approx(3 * hours))
    assert (place.out / "curves.png").stat().st_size > 1000
    assert "Yes" in capsys.readouterr().out
    lost = cells.tests(cells.final(cells.chosen()["b"])[1])[0]
    (lost.folder / "record.json").unlink()
    assert find(cells).missing == [lost.name]


def test_nothing_is_said_before_a_test_is_scored():
    assert say([], []) == ["Nothing can be said yet: no test has been scored for the baseline and another model."]


def test_a_trial_that_fails_is_no_choice_and_the_study_goes_on(tmp_path, place):
    """Of the rate 2e30 no run comes to an end; the other method has the same number of trials."""
    trials = {"a": ["1e-3", "2e30"], "b": ["1e-3", "2e-3"]}
    methods = {
        n: {"recipe": RECIPE, "trials": [[f"optimizer.lr={rate}"] for rate in rates]} for n, rates in trials.items()
    }
    cells = open_cells(read_study(study_file(tmp_path, methods=methods)), place)
    finish_all(cells)
    (second,) = [trial for trial in cells.trials() if (trial.method, trial.trial) == ("a", 1)]
    (second.folder / "run.json").unlink()
    write_text(second.failure, "exit code 2")
    for scoring in cells.selecting():
        if scoring.made_by == second:
            (scoring.folder / "record.json").unlink()
    assert {name: run.trial for name, run in cells.chosen().items()} == {"a": 0, "b": 1}
    assert "Trial 2 of a failed, so that it was no choice." in verdict(cells.study, find(cells))


def test_no_difference_is_said_so(tmp_path, place):
    cells = open_cells(read_study(study_file(tmp_path)), place)
    finish_all(cells, a=50.0, b=50.0)
    finding = find(cells)
    assert [pair.word for pair in finding.pairs if pair.other == "b"] == ["undecided"]
    sentences = say(finding.pairs, ["random", "pixels"])
    assert "Is a better than the other methods (b)? No: of 1 comparisons 0 better, 1 undecided, 0 worse." in sentences


def test_a_report_is_written_where_encoders_were_deleted_to_save_space(tmp_path, place):
    cells = open_cells(read_study(study_file(tmp_path)), place)
    finish_all(cells)
    for encoder in place.out.glob("pretrain/*/encoder.safetensors"):
        encoder.unlink()
    found = find(cells)
    assert ([care.images for care in found.care], found.missing) == ([None, None], [])


def test_what_is_missing_is_listed(tmp_path, place, capsys):
    study = study_file(tmp_path)
    cells = open_cells(read_study(study), place)
    for scoring in cells.floors():
        finish(scoring, [30.0 + n for n in range(8)])
    assert main(["study", str(study), "--data", str(place.data), "--out", str(place.out), "--report"]) == 0
    assert "not finished" in capsys.readouterr().out
    assert "choose a trial of a" in (place.out / "study.html").read_text()


def test_figures_chosen_on_what_they_report_are_refused(tmp_path, place):
    """Also where two folders hold the same data, which no declaration tells."""
    cells = open_cells(read_study(study_file(tmp_path)), place)
    finish_all(cells)
    for scoring in cells.selecting():
        finish(scoring, [40.0 + scoring.made_by.trial + n for n in range(8)])
    with pytest.raises(UserError, match="8 of the sequences that the tests report"):
        find(cells)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selection": [DAVIS]}, "selection and tests both use davis clips val"),
        ({"selection": []}, "trials need selection data"),
        ({"baseline": "c"}, "baseline 'c' is none of the methods: a, b"),
        ({"floors": {"a": "random:vit_micro/16"}}, "a is the name of a method and of a floor"),
        ({"seeds": [0, 0]}, "seeds must differ"),
        ({"tests": [DAVIS | {"benchmark": "davos"}]}, "Did you mean 'davis'"),
        ({"tests": [DAVIS | {"data": "nowhere"}]}, "nowhere is not there"),
        ({"pretraining": ["nowhere"]}, "nowhere is not there: the study pretrains on it"),
        ({"methods": {"a": {"recipe": RECIPE}, "b": {"recipe": RECIPE, "trials": [[], []]}}}, "a 1, b 2"),
        (
            {"methods": {n: {"recipe": RECIPE, "set": [f"training.epochs={e}"]} for n, e in (("a", 2), ("b", 3))}},
            "would see different numbers of images",
        ),
        ({"methods": {"a": {"recipe": "configs/pretrain/flsl_dem.py"}}}, "flsl_dem.py does not exist"),
        ({"methods": {"../a": {"recipe": RECIPE}}, "baseline": "../a"}, "cannot be the name of a method"),
        ({"titel": "x"}, "Did you mean 'title'"),
        ({"tests": [DAVIS, DAVIS | {"metric": "J"}]}, "tests has davis clips val twice: give each a `title`"),
        ({"selection": [DAVIS | {"data": "./clips/"}]}, "selection and tests both use davis ./clips/ val"),
        ({"tests": [DAVIS | {"options": {"videos": "dog"}}]}, "videos must be a list of names, but is 'dog'"),
        ({"tests": [DAVIS | {"options": {"videos": 5}}]}, "videos must be a list of names, but is 5"),
        ({"tests": [DAVIS | {"options": {"seed": 3}}]}, "options has seed, which the study gives"),
        ({"tests": [DAVIS | {"metric": "J&G"}]}, "Did you mean 'J&F'"),
        ({"tests": [DAVIS | {"metric": "J_decay"}]}, "better where it is lower"),
        ({"tests": [LINEAR | {"metric": "mIoU_K500"}]}, "Valid: mIoU"),
        ({"pretraining": ["pictures", "pictures"]}, "pretrains on a folder twice"),
        (
            {"methods": {"a": {"recipe": RECIPE, "set": ["training.batch_size=0"]}}, "selection": []},
            "training.batch_size must be",
        ),
        ({"methods": {"a": {"recipe": RECIPE, "set": ["training.epochs=ten"]}}, "selection": []}, "but is 'ten'"),
    ],
)
def test_a_study_that_cannot_be_trusted_is_refused(tmp_path, place, capsys, changes, message):
    study = study_file(tmp_path, **changes)
    assert main(["study", str(study), "--data", str(place.data), "--out", str(place.out), "--plan"]) == 2
    assert message in capsys.readouterr().err


def write_clips(folder, split, names, seed, size=(64, 36)):
    """Write a list of videos, as DAVIS 2017's or, with a frame a line, as those of DAVIS 2016, and their first frames."""
    frames = [f"/JPEGImages/480p/{name}/00000.jpg" for name in names]
    lines = [f"{frame} {frame.replace('JPEGImages', 'Annotations')[:-3]}png" for frame in frames]
    of_2016 = "2016" in folder.name
    path = folder / "ImageSets" / ("480p" if of_2016 else "2017") / f"{split}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines if of_2016 else names))
    for name, frame in zip(names, frames):
        path = folder / frame[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng([seed, *name.encode()]).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(path)


@pytest.mark.parametrize(
    ("split", "names", "seed", "options", "shared"),
    [
        ("val", ["india", "blackswan", "camel", "dog", "goat"], 0, {}, "blackswan, camel, dog and 1 more"),
        ("val", ["india", "blackswan"], 1, {}, None),  # drawn clips of one name
        ("train", ["bear", "boat"], 0, {}, None),
        ("val", ["india", "goat"], 0, {}, "goat"),
        ("val", ["india", "goat"], 0, {"videos": ["india"]}, None),
        ("val", ["india", "goat"], 0, {"limit": 1}, None),
    ],
)
def test_trials_are_not_chosen_on_videos_of_another_edition_that_are_reported(
    tmp_path, place, capsys, split, names, seed, options, shared
):
    """DAVIS 2016 val is part of DAVIS 2017 val, with other annotations and lists: neither declaration nor hashes tell."""
    write_clips(place.data / "davis2016", "val", ["blackswan", "camel", "dog", "goat"], 0)
    write_clips(place.data / "davis2017", split, names, seed, (96, 54))
    chosen = DAVIS | {"data": "davis2016", "options": {"split": "val"}}
    reported = DAVIS | {"data": "davis2017", "options": {"split": split} | options}
    study = study_file(tmp_path, selection=[chosen], tests=[reported])
    assert main(["study", str(study), "--data", str(place.data), "--out", str(place.out), "--report"]) == (
        2 if shared else 0
    )
    said = capsys.readouterr().err
    if shared:
        assert f"davis davis2016 val and davis davis2017 val both hold {shared}." in said


def test_another_list_of_the_same_videos_is_noticed(tmp_path, place):
    for split, names in (("train", ["dog", "camel"]), ("val", ["camel"])):
        write_clips(place.data / "clips", split, names, 0)
    with pytest.raises(UserError, match="davis clips train and davis clips val both hold camel"):
        open_cells(read_study(study_file(tmp_path)), place)


def test_a_list_of_several_videos_a_line_is_read_as_the_benchmark_reads_it(tmp_path, place):
    for split, names in (("train", ["dog", "camel"]), ("val", ["camel"])):
        write_clips(place.data / "clips", split, names, 0)
    (place.data / "clips" / "ImageSets" / "2017" / "train.txt").write_text("dog camel\n")
    with pytest.raises(UserError, match="both hold camel"):
        open_cells(read_study(study_file(tmp_path)), place)


def test_a_list_that_is_no_file_is_refused_instead_of_waited_for(tmp_path, place):
    lists = place.data / "clips" / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    os.mkfifo(lists / "train.txt")
    with pytest.raises(UserError, match=r"train\.txt cannot be read: it is a named pipe"):
        open_cells(read_study(study_file(tmp_path)), place)


def test_lists_of_pictures_are_not_taken_for_videos(tmp_path, place):
    """Those of PASCAL VOC's actions have the number of a person behind each picture."""
    for split in ("train", "val"):
        path = place.data / "clips" / "ImageSets" / "Action" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"2010_{split}  1\n")
    selection = LINEAR | {"options": LINEAR["options"] | {"split": "train"}}
    open_cells(read_study(study_file(tmp_path, selection=[selection], tests=[LINEAR])), place)


def test_videos_may_be_shared_between_selection_and_tests(tmp_path, place):
    parts = [DAVIS | {"options": {"split": "train", "videos": [name]}} for name in ("dog", "camel")]
    read_study(study_file(tmp_path, selection=parts[:1], tests=parts[1:]))


def test_another_study_takes_nothing_for_its_own(tmp_path, place):
    """Cells are named after all that they depend on."""
    cells = open_cells(read_study(study_file(tmp_path)), place)
    finish_all(cells)
    methods = {name: {"recipe": RECIPE, "set": ["training.epochs=7"]} for name in ("a", "b")}
    other = open_cells(read_study(study_file(tmp_path, methods=methods, selection=[])), place)
    assert not any(trial.done for trial in other.trials())
    assert all(scoring.done for scoring in other.floors())


@pytest.mark.parametrize("name", ["pictures/0.jpg", "clips/list.txt"])
def test_other_data_of_the_same_name_are_noticed(tmp_path, place, name):
    study = read_study(study_file(tmp_path))
    finish_all(open_cells(study, place))
    open_cells(study, place)
    (place.data / name).write_text("other")
    with pytest.raises(UserError, match=f"{name.split('/')[0]} holds other files than when"):
        open_cells(study, place)


def test_other_weights_of_a_floor_are_noticed(tmp_path, place):
    file = tmp_path / "encoder.safetensors"
    file.write_bytes(b"one")
    study = read_study(study_file(tmp_path, floors={"before": str(file)}))
    open_cells(study, place)
    file.write_bytes(b"two")
    with pytest.raises(UserError, match=r"encoder\.safetensors holds other files"):
        open_cells(study, place)


@pytest.mark.parametrize("options", [{}, {"videos": ["dog"]}])
def test_a_split_that_is_left_out_is_val(tmp_path, options):
    with pytest.raises(UserError, match="selection and tests both use"):
        read_study(study_file(tmp_path, selection=[DAVIS | {"options": options}]))


def test_two_metrics_of_one_test_are_two_columns_under_their_titles(tmp_path, place):
    tests = [DAVIS, DAVIS | {"metric": "J", "title": "regions"}]
    cells = open_cells(read_study(study_file(tmp_path, tests=tests)), place)
    finish_all(cells)
    assert [pair.test for pair in find(cells).pairs[:2]] == ["davis clips val", "regions"]


def test_pictures_of_two_folders_of_one_name_are_all_seen(tmp_path, place):
    for name in ("one", "other"):
        (place.data / name / "train").mkdir(parents=True)
        for number in range(20):
            (place.data / name / "train" / f"{number}.jpg").touch()
    cells = open_cells(read_study(study_file(tmp_path, pretraining=["one/train", "other/train"])), place)
    assert len(list(cells.pictures.glob("*/*.jpg"))) == 40


def test_a_training_that_is_alone_so_far_is_still_one_of_several(tmp_path, place):
    cells = open_cells(read_study(study_file(tmp_path)), place)
    finish_all(cells, a=70.0, b=69.0)
    (missing,) = cells.tests(cells.final(cells.chosen()["b"])[1])
    (missing.folder / "record.json").unlink()
    width = {p.other: p.comparison.high - p.comparison.low for p in find(cells).pairs if p.comparison.a == "a"}
    assert width["b"] > 1.5 * width["pixels"]  # which no training could change


def test_a_metric_that_the_records_do_not_hold_is_named(tmp_path, place):
    cells = open_cells(read_study(study_file(tmp_path, tests=[DAVIS | {"metric": "J_recall"}])), place)
    finish_all(cells)
    with pytest.raises(UserError, match="metric 'J_recall' of davis clips val is not a known metric of davis2017"):
        find(cells)


def test_a_metric_that_the_data_cannot_be_measured_by_is_named(tmp_path, place):
    cells = open_cells(read_study(study_file(tmp_path, tests=[DAVIS | {"metric": "J_recall"}])), place)
    finish_all(cells)
    for path in place.out.glob("eval/*/record.json"):
        found = read_record(path)
        write_record(replace(found, metrics=found.metrics | {"J_recall": Metric(None)}), path)
    with pytest.raises(UserError, match="davis clips val: J_recall of a has no value"):
        find(cells)


def test_part_of_the_data_is_said(tmp_path, place):
    cells = open_cells(read_study(study_file(tmp_path)), place)
    finish_all(cells)
    for scoring in cells.floors():
        found = scoring.record
        part = replace(found, dataset=replace(found.dataset, items_expected=16), status="partial")
        (scoring.folder / "record.json").unlink()
        write_record(part, scoring.folder / "record.json")
    head, _ = score_rows(cells.study, find(cells))
    assert head[1].endswith("(8 of 16 sequences only)")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_study_is_run_from_beginning_to_end(tmp_path, capsys, monkeypatch):
    """Two settings of FLSL, two trials each, on drawn data; stopped after the first cells, and continued."""
    from eval.__main__ import main as evaluate

    data = tmp_path / "data"
    size = ["--frames", "4", "--height", "96", "--width", "128"]
    assert evaluate(["data", "synthesize", "images", str(data / "pictures"), "--count", "48"]) == 0
    for name in ("clips", "others"):
        assert evaluate(["data", "synthesize", "davis", str(data / name), "--seed", str(len(name)), *size]) == 0
    small = ["training.epochs=1", "training.batch_size=16", "runtime.workers=0"]
    methods = {
        name: {
            "recipe": RECIPE,
            "set": [*small, f"head.centroids={k}"],
            "trials": [["optimizer.lr=1e-3"], ["optimizer.lr=1e-4"]],
        }
        for name, k in (("a", 64), ("b", 16))
    }
    study = study_file(
        tmp_path,
        methods=methods,
        floors={"random": "random:vit_micro/16"},
        seeds=[0],
        selection=[DAVIS | {"data": "others"}],
        pictures=[str(next((data / "pictures").rglob("*.jpg")).relative_to(data))],
    )
    command = ["study", str(study), "--data", str(data), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*command, "--hours", "0.0005"]) == 75
    for load, noted in ((0.0, False), (1000.0, True)):
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
            assert main([*command, "--plan"]) == 0
        plan = capsys.readouterr().out
        assert "pretrain a" in plan
        assert "a short try" in plan
        assert ("beside other work (load 1000.0" in plan) == noted
    assert main(command) == 0
    found = json.loads((tmp_path / "out/study.json").read_text())
    assert found["missing"] == []
    assert set(found["scores"]) == {"a", "b", "random"}
    assert list((tmp_path / "out/pictures").glob("*.png"))


@pytest.mark.parametrize("path", sorted(Path("configs/studies").glob("*.py")), ids=lambda path: path.stem)
def test_studies_of_the_repository_are_valid(path):
    study, seen = read_study(path), set()
    for method in study.methods.values():
        for trial in method.trials:
            seen.add(read_recipe(method.recipe, [*method.set, *trial]).training.epochs)
    assert len(seen) == 1
    for checkpoint in study.floors.values():
        load_encoder(checkpoint)
