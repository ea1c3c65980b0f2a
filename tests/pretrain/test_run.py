"""`python -m pretrain`: a run writes what it promises, resumes bit for bit, and explains bad input."""

import shutil
import signal

import pytest
import torch
from support.help_text import help_of
from support.pretrain_run import log, run, start

from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_encoder
from flsl.encoder import Encoder
from pretrain.pictures import draw_pictures
from pretrain.step import TrainingStep


def test_run_writes_a_checkpoint_that_loads(finished, recipe_file, images, capsys):
    loaded = load_encoder(finished / "encoder.safetensors")
    assert loaded.method == "FLSL"
    assert loaded.pretraining["epochs"] == 2
    assert loaded.encoder(torch.zeros(1, 3, 48, 64)).shape == (1, 48, 32)
    rows = log(finished)
    assert [row["step"] for row in rows] == list(range(6))
    assert rows[0]["lr"] == 0 or len(rows) == 6
    assert all(
        {"loss", "intra", "inter", "vmr", "assignment_entropy", "centroids_in_use"} <= row.keys() for row in rows
    )
    assert (finished / "config.py").read_text().startswith("name = 'tiny'")
    assert run(recipe_file, images, finished) == 0
    assert "already holds all 6 steps" in capsys.readouterr().out


def test_same_seed_same_run_other_seed_other_run(finished, recipe_file, images, tmp_path, capsys):
    assert run(recipe_file, images, tmp_path / "same", "--set", "runtime.workers=0") == 0
    assert f"finished: {tmp_path / 'same' / 'encoder.safetensors'} has all 6 steps" in capsys.readouterr().out
    assert log(tmp_path / "same") == log(finished)
    assert run(recipe_file, images, tmp_path / "other", "--set", "training.seed=1") == 0
    assert log(tmp_path / "other") != log(finished)


@pytest.mark.parametrize("log_every", [1, 3])
def test_killed_run_continues_bit_for_bit(log_every, recipe_file, images, tmp_path):
    recipe_file.write_text(recipe_file.read_text().replace("log_every=1", f"log_every={log_every}"))
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert run(recipe_file, images, whole) == 0
    process = start(recipe_file, images, out)
    for line in process.stdout:
        if "step 4/6" in line:  # the last state has 3 steps: the end of epoch 1
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    assert run(recipe_file, images, out) == 0
    assert log(out) == log(whole)
    ours, theirs = (load_encoder(folder / "encoder.safetensors") for folder in (out, whole))
    assert ours.model_fields()["fingerprint"] == theirs.model_fields()["fingerprint"]


def test_signal_saves_and_exits_75(finished, recipe_file, images, tmp_path):
    out = tmp_path / "preempted"
    process = start(recipe_file, images, out)
    for line in process.stdout:
        if "step 1/6" in line:
            process.send_signal(signal.SIGUSR1)
            break
    process.stdout.read()
    assert process.wait() == 75
    assert run(recipe_file, images, out) == 0
    assert log(out) == log(finished)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("training.epochs=3", "encoder.depth=3"), "is of another model than the recipe's"),
        (("training.epochs=1",), "holds 6 steps, more than the 3 asked for"),
    ],
)
def test_a_permitted_change_that_the_state_does_not_fit_is_refused_and_changes_nothing(
    finished, recipe_file, images, capsys, settings, words
):
    before = {name: (finished / name).read_bytes() for name in ("run.json", "config.py", "encoder.safetensors")}
    change = [word for setting in settings for word in ("--set", setting)]
    allowed = [word for key in ("training", "encoder") for word in ("--allow-config-change", key)]
    assert run(recipe_file, images, finished, *change, *allowed) == 2
    assert words in capsys.readouterr().err
    assert {name: (finished / name).read_bytes() for name in before} == before
    assert run(recipe_file, images, finished) == 0
    assert "already holds all 6 steps" in capsys.readouterr().out


def test_broken_newest_state_falls_back(finished, recipe_file, images, capsys):
    (finished / "encoder.safetensors").unlink()  # or there is nothing to do
    newest = sorted((finished / "states").glob("*.pt"))[-1]
    whole = newest.read_bytes()
    newest.write_bytes(whole[:1000])
    assert run(recipe_file, images, finished) == 0
    captured = capsys.readouterr()
    assert f"{newest} is broken" in captured.err
    assert "resuming" in captured.out
    assert load_encoder(finished / "encoder.safetensors").pretraining["steps"] == 6
    assert len(newest.read_bytes()) == len(whole)  # written anew


def test_pictures_are_of_the_whole_network(images):
    """The encoder that SimCLR, VICReg and MoCo v3 keep is the trained one, which leaves branches out by chance."""
    encoder = Encoder(EncoderConfig("vit_nano", image_size=32), drop_path=0.9).train()
    first, second = (draw_pictures(encoder, sorted(images.rglob("*.jpg"))[:2], 32, torch.device("cpu")) for _ in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert encoder.training


def test_tensorboard_has_scalars_and_pictures(recipe_file, images, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert run(recipe_file, images, tmp_path / "run", "--set", "runtime.pictures_every=2") == 0
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert {"loss", "assignment_entropy", "teacher_student_agreement"} <= set(events.Tags()["scalars"])
    assert {"image", "principal components", "clusters"} <= set(events.Tags()["images"])
    assert [event.step for event in events.Images("clusters")] == [0, 6]
    assert [path.name for path in sorted((tmp_path / "run/pictures").iterdir())] == [
        "step_000000.png",
        "step_000006.png",
    ]


@pytest.mark.parametrize(
    "change", ["training.precision=bf16", "training.precision=fp16", "training.photometric=device"]
)
def test_other_precisions_and_paths_train(change, recipe_file, images, tmp_path):
    assert run(recipe_file, images, tmp_path / "run", "--set", change, "--set", "training.accumulate=2") == 0
    rows = log(tmp_path / "run")
    assert rows[-1]["skipped_steps"] == 0
    assert abs(rows[-1]["loss"]) < 20


def test_multi_stage_training_runs(finished, recipe_file, images, tmp_path):
    earlier = finished / "encoder.safetensors"
    stage = ["--set", f"stage.checkpoint={earlier}", "--set", "stage.attention_level=1"]
    assert run(recipe_file, images, tmp_path / "second", *stage, "--set", "stage.mixture=0.5") == 0
    rows = log(tmp_path / "second")
    assert rows[0]["mixture"] == 0
    assert 0 < rows[-1]["mixture"] <= 0.5


def test_only_newest_states_are_kept(finished):
    assert len(list((finished / "states").glob("*.pt"))) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.epoch=3"], "Did you mean 'epochs'"),
        (["--set", "trainin.epochs=3"], "Did you mean 'training'"),
        (["--set", "training.epochs=many"], "training.epochs must be a whole number"),
        (["--set", "encoder.architecture=vit_smal"], "vit_small"),
        (["--set", "training.batch_size=100"], "fewer than one batch"),
        (["--set", "views.global_size=50"], "no multiple of encoder.patch_size 8"),
        (["--set", "runtime.wandb=True"], "pip install wandb"),
        (["--device", "nonsense"], "--device nonsense cannot be used"),
        (["--set", "stage.checkpoint=/nowhere.pth"], "/nowhere.pth does not exist"),
    ],
)
def test_bad_settings_are_explained(arguments, message, recipe_file, images, tmp_path, capsys):
    assert run(recipe_file, images, tmp_path / "out", *arguments) == 2
    assert message in capsys.readouterr().err


def test_bad_data_is_explained(recipe_file, images, tmp_path, capsys):
    assert run(recipe_file, tmp_path / "nowhere", tmp_path / "out") == 2
    assert "nowhere is not a folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run(recipe_file, tmp_path / "empty", tmp_path / "out") == 2
    assert "holds no images" in capsys.readouterr().err
    assert run(tmp_path / "missing.py", images, tmp_path / "out") == 2
    assert "missing.py does not exist" in capsys.readouterr().err


def test_unreadable_image_is_named_and_limited(recipe_file, images, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(images, data)
    victim = data / "train" / "class0" / "4.jpg"
    victim.write_bytes(victim.read_bytes()[:300])
    assert run(recipe_file, data, tmp_path / "out") == 2
    assert f"{victim}" in capsys.readouterr().err
    assert run(recipe_file, data, tmp_path / "tolerant", "--set", "runtime.max_unreadable=0.1") == 0
    assert log(tmp_path / "tolerant")[-1]["unreadable_images"] == 1


def test_non_finite_steps_are_skipped_then_stop_with_inputs(recipe_file, images, tmp_path, capsys):
    out = tmp_path / "out"
    explode = ["--set", "loss.gamma=1e39", "--set", "runtime.max_skipped_steps=2"]
    assert run(recipe_file, images, out, *explode) == 2
    assert "non-finite" in capsys.readouterr().err
    (inputs,) = out.glob("nonfinite_step_*.pt")
    assert {"views", "queries"} <= torch.load(inputs, weights_only=True).keys()


def test_help_is_fast():
    assert "--allow-config-change" in help_of("pretrain")


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")]
)
def test_running_out_of_memory_says_what_to_lower(error, recipe_file, images, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(TrainingStep, "__call__", fail)
    assert run(recipe_file, images, tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert "error: out of memory on cpu with 4 images at a time (" in said
    assert "Try --set training.accumulate=2 (the same step in smaller parts" in said
    assert "--set runtime.activation_checkpointing=True" in said
