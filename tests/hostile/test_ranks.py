"""Several processes: signals reach all and save, exit codes are the program's own, and what one rank meets all ranks know."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.pretrain_run import RECIPE, draw_images, log, run, words

from eval.data.synthesize import synthesize
from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_encoder, save_encoder
from flsl.encoder import Encoder
from flsl.objective import HeadConfig, Loss
from flsl.sampling import draw_queries
from pretrain.batch import Batch
from pretrain.dataset import Order
from pretrain.methods.flsl import Method, Recipe
from pretrain.recipe import CentroidOptimizer, Runtime, Training, read_recipe
from pretrain.schedules import Schedules
from pretrain.step import TrainingStep
from results.store import read_record

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ["flsl", "launch", "2"]
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]


@pytest.fixture
def ranks(monkeypatch):
    """An environment that says nothing of ranks yet."""
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def start(*arguments, path=ROOT):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{path}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


PROGRAM = """
import os, signal, sys, time
rank, ends = int(os.environ["RANK"]), sys.argv[1:]
for name in ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT"):
    if "wait" in ends[rank]:
        signal.signal(getattr(signal, name), lambda number, _: sys.exit(75 if number != signal.SIGINT else 130))
os.write(1, b"ready\\n")  # whole, beside the other rank's
if ends[rank] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if ends[rank] in ("wait", "hang"):
    time.sleep(60)
    ends[rank] = "99"
sys.exit(int(ends[rank]))
"""


@pytest.mark.parametrize(
    ("ends", "sent", "code"),
    [
        (["0", "0"], None, 0),
        (["2", "2"], None, 2),
        (["1", "2"], None, 2),  # what was explained comes before what it led to
        (["killed", "0"], None, 137),
        (["0", "wait"], "SIGTERM", 75),
        (["wait", "wait"], "SIGTERM", 75),
        (["wait", "wait"], "SIGUSR1", 75),
        (["wait", "wait"], "SIGUSR2", 75),
        (["wait", "wait"], "SIGINT", 130),
        (["hang", "hang"], "SIGTERM", 143),
        (["2", "hang"], None, 2),
        (["killed", "wait"], None, 137),
    ],
)
def test_the_launcher_hands_signals_on_and_returns_the_programs_code(ends, sent, code, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    process = start(*LAUNCH, "program", *ends, path=tmp_path)
    for _ in ends:
        assert process.stdout.readline() == "ready\n"
    if sent:
        process.send_signal(getattr(signal, sent))
    assert process.wait(40) == code
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "expected"), [(["0", "pretrain"], "expected 1 or more"), (["2"], "no program to launch")]
)
def test_a_launch_of_nothing_is_refused(arguments, expected, refused):
    refused("flsl", ["launch", *arguments], [expected])


TWO = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
MET = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize("program", ["pretrain", "eval"])
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"WORLD_SIZE": "two"}, ["WORLD_SIZE is 'two'", "a whole number, 1 or more", "flsl launch"]),
        ({"WORLD_SIZE": "0"}, ["WORLD_SIZE is '0'"]),
        ({"WORLD_SIZE": ""}, ["WORLD_SIZE is ''"]),
        ({"WORLD_SIZE": "2"}, ["WORLD_SIZE=2", "not RANK", "unset it"]),
        ({"WORLD_SIZE": "2", "RANK": "1"}, ["WORLD_SIZE=2", "not LOCAL_RANK"]),
        (TWO | {"RANK": "5"}, ["RANK=5", "WORLD_SIZE=2 is 1"]),
        (TWO | {"RANK": "-1"}, ["RANK is '-1'", "0 or more"]),
        ({"RANK": "1"}, ["RANK=1", "WORLD_SIZE=1 is 0"]),
        ({"LOCAL_RANK": "one"}, ["LOCAL_RANK is 'one'"]),
        ({"LOCAL_WORLD_SIZE": "0"}, ["LOCAL_WORLD_SIZE is '0'"]),
        ({"SLURM_STEP_NUM_TASKS": "many"}, ["SLURM_STEP_NUM_TASKS is 'many'"]),
        ({"SLURM_STEP_NUM_TASKS": "2"} | MET, ["SLURM_PROCID is ''", "0 to 1"]),
    ],
    ids=str,
)
def test_what_a_launcher_cannot_have_said_is_refused_by_its_name(program, told, expected, refused, ranks, tmp_path):
    synthesize("davis", tmp_path / "davis", 0, sequences=1, train_sequences=0, frames=3)
    recipe, images = tmp_path / "recipe.py", draw_images(tmp_path / "images")
    recipe.write_text(RECIPE)
    for name, value in told.items():
        ranks.setenv(name, value)
    evaluation = ["davis", "--checkpoint", "pixels/16", "--data", tmp_path / "davis", "--out", tmp_path / "out"]
    refused(program, words(recipe, images, tmp_path / "out") if program == "pretrain" else evaluation, expected)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, ["2 processes", "MASTER_ADDR and MASTER_PORT", "Export"]),
        ({"MASTER_ADDR": "127.0.0.1"}, ["MASTER_PORT is not set"]),
        (MET | {"MASTER_PORT": "http"}, ["MASTER_PORT is 'http'", "1 to 65535"]),
    ],
    ids=str,
)
def test_ranks_that_nothing_tells_where_to_meet_are_refused(place, expected, refused, ranks, tmp_path):
    for name, value in (TWO | place).items():
        ranks.setenv(name, value)
    recipe, images = tmp_path / "recipe.py", draw_images(tmp_path / "images")
    recipe.write_text(RECIPE)
    refused("pretrain", words(recipe, images, tmp_path / "out"), expected)


def test_a_port_that_is_taken_is_named(refused, ranks, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for name, value in (TWO | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}).items():
            ranks.setenv(name, value)
        recipe, images = tmp_path / "recipe.py", draw_images(tmp_path / "images")
        recipe.write_text(RECIPE)
        refused("pretrain", words(recipe, images, tmp_path / "out"), [f"MASTER_PORT='{port}'", "a port that is free"])


@pytest.fixture
def tiny(tmp_path):
    """Recipe, images of which rank 1 alone meets an unreadable one in the first step, and its path."""
    recipe = tmp_path / "recipe.py"
    recipe.write_text(RECIPE.replace("epochs=2", "epochs=200"))
    images = draw_images(tmp_path / "images")
    _, index = next(iter(Order(14, read_recipe(recipe), rank=1, world=2)))[0]
    victim = sorted(images.rglob("*.jpg"))[index]
    victim.write_bytes(victim.read_bytes()[:300])
    return recipe, images, victim


slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("launcher", "number", "code"),
    [
        (LAUNCH, signal.SIGUSR1, 75),
        pytest.param(LAUNCH, signal.SIGTERM, 75, marks=slow),
        pytest.param(TORCHRUN, signal.SIGTERM, 1, marks=slow),
        pytest.param(TORCHRUN, signal.SIGUSR1, -signal.SIGUSR1, marks=slow),
    ],
    ids=["launch USR1", "launch TERM", "torchrun TERM", "torchrun USR1"],
)
def test_a_signal_saves_once_and_what_one_rank_cannot_read_counts_for_all(launcher, number, code, tiny, tmp_path):
    recipe, images, victim = tiny
    out = tmp_path / "run"
    process = start(
        *launcher,
        "pretrain",
        *words(recipe, images, out, "--set", "runtime.max_unreadable=0.1", "--set", "runtime.checkpoint_every=500"),
    )
    for line in process.stdout:
        if "step 1/" in line:
            process.send_signal(number)
            break
    process.stdout.read()  # until the last rank has ended
    assert process.wait(60) == code
    said = process.stderr.read()
    assert said.count("stopped by a signal after step") == 1
    assert said.count(f"unreadable image skipped: {victim}") == 1
    done = log(out)[-1]["step"] + 1
    assert log(out)[0]["unreadable_images"] == 1
    assert (out / "states" / f"step_{done:08d}.json").is_file()


def test_too_much_that_one_rank_cannot_read_ends_all_ranks_in_one_message(tiny, tmp_path):
    recipe, images, victim = tiny
    process = start(*LAUNCH, "pretrain", *words(recipe, images, tmp_path / "run"))
    _, said = process.communicate(timeout=200)
    assert process.returncode == 2
    assert said.count("error: ") == 1
    assert said.count("Traceback") == 0
    assert "1 of 14 images cannot be read, more than the permitted share of" in said
    assert str(victim) in said


def test_a_limit_that_was_lowered_below_what_was_skipped_ends_the_run(tmp_path, capsys):
    recipe, out = tmp_path / "recipe.py", tmp_path / "run"
    recipe.write_text(RECIPE)
    images = draw_images(tmp_path / "images")
    explode = ["--set", "loss.gamma=1e39", "--set", "runtime.max_skipped_steps=6"]
    assert run(recipe, images, out, *explode) == 0
    assert log(out)[-1]["skipped_steps"] == 6
    longer = ["--set", "training.epochs=3", "--allow-config-change", "training.epochs"]
    before = (out / "encoder.safetensors").read_bytes()
    assert run(recipe, images, out, *explode[:2], *longer, "--set", "runtime.max_skipped_steps=2") == 2
    assert "6 steps of" in (said := capsys.readouterr().err)
    assert "more than runtime.max_skipped_steps 2 permits" in said
    assert (out / "encoder.safetensors").read_bytes() == before


def test_a_skipped_step_leaves_the_center_as_it_is():
    torch.manual_seed(0)
    encoder = EncoderConfig("custom", 8, 48, embed_dim=32, depth=2, num_heads=2)
    model = Method(encoder, HeadConfig(16, 32, 16), loss=Loss(centering=True))
    recipe = Recipe(
        training=Training(epochs=3, batch_size=2, precision="fp32"),
        runtime=Runtime(log_every=1),
        optimizer=CentroidOptimizer(lr=0.5, warmup_fraction=0, freeze_last_layer=0),
    )
    step = TrainingStep(model, recipe, Schedules.of(recipe, steps_per_epoch=1), torch.device("cpu"))
    views = [torch.randn(2, 3, s, s) for s in (48, 48, 32)]
    queries = [draw_queries(2, s // 8, w, "random", torch.Generator().manual_seed(0)) for s, w in ((48, 4), (32, 2))]
    assert not step([Batch(views, {"queries": queries})], 0)["skipped"]
    center, student = model.center.clone(), [p.clone() for p in model.student.parameters()]
    broken = [view.clone() for view in views]
    broken[0][0, 0, 0, 0] = float("nan")  # the teacher's view
    assert step([Batch(broken, {"queries": queries})], 1)["skipped"]
    assert torch.equal(model.center, center)
    assert all(torch.equal(p, q) for p, q in zip(model.student.parameters(), student))
    assert not step([Batch(views, {"queries": queries})], 2)["skipped"]
    assert model.center.isfinite().all()
    assert not torch.equal(model.center, center)


def test_an_evaluation_in_one_process_runs_once_whatever_is_launched(tmp_path):
    """What `make eval-davis GPUS=2` does."""
    synthesize("davis", tmp_path / "davis", 0, sequences=1, train_sequences=0, frames=3)
    arguments = ["eval", "davis", "--checkpoint", "random:vit_micro/16", "--data", tmp_path / "davis"]
    process = start(*LAUNCH, *arguments, "--out", tmp_path / "out")
    shown, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert read_record(tmp_path / "out" / "record.json").status == "complete"
    assert shown.count("J&F") == 1
    assert "in use" not in said


def test_equal_encoders_have_equal_bytes(tmp_path):
    """The order of metadata differed from file to file."""
    encoder = Encoder(EncoderConfig("custom", 8, 48, embed_dim=32, depth=2, num_heads=2))
    paths = [tmp_path / f"{i}.safetensors" for i in range(6)]
    for path in paths:
        save_encoder(encoder, path, method="FLSL", name='\u00e9 \x7f "', pretraining={"steps": 3})
    assert len({path.read_bytes() for path in paths}) == 1
    loaded = load_encoder(paths[0])
    assert (loaded.name, loaded.pretraining["steps"]) == ('\u00e9 \x7f "', 3)
