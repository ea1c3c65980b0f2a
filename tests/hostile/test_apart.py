"""What is written never mixes with the data that are read, and takes no input's place; beside them it may lie."""

import shutil

import cv2
import numpy as np
import pytest
from support.pretrain_run import RECIPE, draw_images, run, words
from support.records import record

from eval import evaluate
from eval.data.synthesize import synthesize
from flsl.__main__ import main as flsl
from flsl.architecture import EncoderConfig
from flsl.checkpoint import save_encoder
from flsl.encoder import Encoder
from flsl.runtime.errors import UserError
from results.reproduce import make_plan
from results.store import write_record

APART = ["lies among the files of", "beside that folder"]


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "model" / "encoder.safetensors"
    encoder = Encoder(EncoderConfig("custom", 8, 32, embed_dim=32, depth=2, num_heads=2))
    return save_encoder(encoder, path, method="FLSL", name="tiny")


@pytest.mark.parametrize("place", ["", "runs/davis", "JPEGImages/480p/drawn-00"])
@pytest.mark.parametrize("command", ["davis", "segment", "knn", "coco"])
def test_an_evaluation_does_not_write_among_its_data(command, place, checkpoint, refused, tmp_path):
    data = tmp_path / "data"
    synthesize("davis", data, sequences=1, train_sequences=0, frames=3, height=48, width=48)
    link = tmp_path / "link"
    link.symlink_to(data)
    for where in (data / place, link / place):
        refused("eval", [command, "--checkpoint", checkpoint, "--data", data, "--out", where], APART)
    if command != "knn":
        refused("eval", [command, "--score-only", "--data", data, "--out", data / place], APART)


def test_stored_tokens_do_not_lie_among_the_data(checkpoint, refused, tmp_path):
    data = tmp_path / "data"
    synthesize("segment", data, train=2, val=2, height=64, width=64)
    arguments = ["segment", "--checkpoint", checkpoint, "--data", data, "--out", tmp_path / "out"]
    refused("eval", [*arguments, "--features", data / "tokens"], ["--features", *APART])


def test_a_pretraining_does_not_write_among_its_pictures(refused, tmp_path):
    recipe, images = tmp_path / "recipe.py", draw_images(tmp_path / "images")
    recipe.write_text(RECIPE)
    for out in (images, images / "train" / "run"):
        refused("pretrain", words(recipe, images, out), APART)
    probed = ("--set", "probe.epochs=1", "--probe-data", tmp_path / "masks")
    refused("pretrain", words(recipe, images, tmp_path / "masks" / "run", *probed), ["--probe-data", *APART])


BENCHES = {"pretrain": ["bench", "dense_nano"], "eval coco": ["bench"], "eval davis": ["bench"]}


@pytest.mark.parametrize("program", BENCHES)
def test_figures_that_could_not_be_written_are_refused_before_they_are_measured(program, refused, tmp_path):
    name, *command = program.split()
    words = [*command, *BENCHES[program], "--device", "cpu", "--json"]
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    refused(name, [*words, tmp_path / "folder"], ["--json", "is a folder", "Name a file"])
    refused(name, [*words, tmp_path / "file" / "rows.json"], ["cannot write", "can be written to"])


def test_figures_take_no_place_of_what_is_measured(checkpoint, refused, tmp_path):
    recipe, images = tmp_path / "recipe.py", draw_images(tmp_path / "images")
    recipe.write_text(RECIPE)
    words = ["bench", recipe, "--device", "cpu", "--json"]
    refused("pretrain", [*words, recipe], ["--json", "the recipe"])
    refused("pretrain", [*words, images / "rows.json", "--data", images], ["--json", *APART])
    refused("eval", ["coco", "bench", "--checkpoint", checkpoint, "--json", checkpoint], ["--json", "--checkpoint"])
    (tmp_path / "rows.json").write_text("{}")
    refused("pretrain", [*words, tmp_path / "rows.json", "--append"], ["no list of rows", "--append"])


def test_a_run_may_lie_beside_data_and_around_them(tmp_path):
    recipe, images = tmp_path / "recipe.py", draw_images(tmp_path / "run" / "images")
    recipe.write_text(RECIPE.replace("epochs=2", "epochs=1"))
    out = tmp_path / "run"
    assert run(recipe, images, out) == 0
    assert run(recipe, images, out, "--resume", "never") == 0
    synthesize("davis", out / "data", sequences=1, train_sequences=0, frames=3, height=48, width=48)
    for when_exists in ("skip", "overwrite"):
        evaluate(str(out / "encoder.safetensors"), "davis", out / "data", out / "eval", when_exists=when_exists)
    assert (out / "encoder.safetensors").is_file()
    assert len(list(images.rglob("*.jpg"))) == 14


def test_no_input_is_what_a_run_makes(checkpoint, refused, tmp_path):
    synthesize("davis", tmp_path / "predictions", sequences=1, train_sequences=0, frames=3, height=48, width=48)
    inside = ["davis", "--checkpoint", checkpoint, "--data", tmp_path / "predictions", "--out", tmp_path]
    refused("eval", inside, ["--data", "is read here", "predictions in --out"])
    refused("eval", [*inside, "--when-exists", "overwrite"], ["--data", "is read here", "predictions in --out"])
    out, stage = tmp_path / "run", ("--set", f"stage.checkpoint={checkpoint}", "--set", "stage.attention_level=1")
    recipe, images = tmp_path / "recipe.py", draw_images(out / "states" / "images")
    recipe.write_text(RECIPE)
    refused("pretrain", words(recipe, images, out), ["--data", "states in --out"])
    moved = shutil.move(images, tmp_path / "images")
    refused("pretrain", words(recipe, moved, checkpoint.parent, *stage), ["stage.checkpoint", "encoder.safetensors in"])


def test_starting_over_puts_no_input_aside(tmp_path, capsys):
    """A pretraining's folder is no place for the evaluation of its encoder, which would be gone."""
    recipe, images, out = tmp_path / "recipe.py", draw_images(tmp_path / "images"), tmp_path / "run"
    recipe.write_text(RECIPE.replace("epochs=2", "epochs=1"))
    assert run(recipe, images, out) == 0
    synthesize("davis", tmp_path / "data", sequences=1, train_sequences=0, frames=3, height=48, width=48)
    with pytest.raises(UserError, match=r"--checkpoint .* is read here, but encoder\.safetensors in --out"):
        evaluate(str(out / "encoder.safetensors"), "davis", tmp_path / "data", out, when_exists="overwrite")
    assert (out / "encoder.safetensors").is_file()


def test_no_export_replaces_its_checkpoint(checkpoint, refused):
    place, name = checkpoint.parent, ["CHECKPOINT", "read here"]
    refused("flsl", ["convert", checkpoint, checkpoint], name)
    refused("flsl", ["push", checkpoint, "org/name", "--dry-run", place], name)
    assert flsl(["export", str(checkpoint), "--to", "timm", str(place / "timm")]) == 0
    for model in (place / "timm", place / "timm" / "model.safetensors"):
        refused("flsl", ["export", model, "--to", "hf", place / "timm"], name)
    assert flsl(["export", str(checkpoint), "--to", "torch", str(place / "encoder.pth")]) == 0
    refused("flsl", ["export", place / "encoder.pth", "--to", "torch", place / "encoder.pth"], name)


def test_no_sheet_replaces_its_picture(checkpoint, refused, tmp_path):
    cv2.imwrite(str(tmp_path / "road.png"), np.zeros((64, 64, 3), np.uint8))
    refused("flsl", ["show", "--checkpoint", checkpoint, tmp_path / "road.png", "--out", tmp_path], ["the picture"])


def test_converted_data_do_not_lie_among_the_data(refused, tmp_path):
    data = tmp_path / "uavdt"
    synthesize("uavdt", data, sequences=1, train_sequences=1, frames=2, height=64, width=96)
    refused(
        "eval", ["data", "prepare", "uavdt", data, "--split", "test", "--out", data / "test.json"], ["the files of"]
    )
    refused("eval", ["data", "synthesize", "uavdt", data / "drawn", "--from-gt", data], ["--from-gt", "the files of"])


def test_no_report_replaces_a_record(refused, tmp_path):
    path = tmp_path / "runs" / "record.csv"
    write_record(record(), path)
    for command in (["leaderboard"], ["table", "davis"], ["list"], ["bundle"], ["sensitivity", "--format", "md"]):
        refused("results", [*command, "--records", path, "--out", path], ["a record", "Choose another place"])
    refused(
        "results",
        ["bundle", "--records", path, "--reports", tmp_path / "a.md", "--out", tmp_path / "a.md"],
        ["a report"],
    )
    refused("results", ["import", path.parent, "--store", path.parent], ["SOURCE"])


def test_a_reproduction_and_a_study_do_not_write_among_their_data(refused, tmp_path):
    data = tmp_path / "data" / "davis2017"
    synthesize("davis", data, sequences=1, train_sequences=0, frames=3, height=48, width=48)
    model = {"fingerprint": "0" * 64, "architecture": "vit_small", "patch_size": 16}
    with pytest.raises(UserError, match="lies among the files of --data"):
        make_plan(["davis"], "encoder.safetensors", model, data.parent, data / "runs")
    study = tmp_path / "study.py"
    study.write_text(
        "title = 'tiny'\npretraining = ('davis2017',)\nbaseline = 'a'\nmethods = dict(a=dict(recipe='dense_nano'))\n"
        "tests = (dict(benchmark='davis', data='davis2017'),)\n"
    )
    words = ["study", study, "--data", data.parent, "--out", data / "study", "--report"]
    refused("results", words, ["the files of davis2017 in --data"])
