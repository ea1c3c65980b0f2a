"""A pretraining's folder belongs to one recipe and one set of images; what is finished is never done again or replaced."""

import json
import shutil
import signal

import pytest
import torch
from PIL import Image
from support.pretrain_run import log, run, start

from flsl.checkpoint import load_encoder


@pytest.fixture
def data(images, tmp_path):
    """A copy of the images that a test may change."""
    return shutil.copytree(images, tmp_path / "data")


def interrupt(out):
    """Make a finished run one that ended after step 4."""
    for path in (out / "states").glob("step_00000006.*"):
        path.unlink()
    (out / "encoder.safetensors").unlink()


def swap(data):
    path = data / "train" / "class0" / "0.jpg"
    Image.open(path).rotate(180).save(path)


def add(data):
    shutil.copy(data / "train" / "class0" / "0.jpg", data / "train" / "class0" / "new.jpg")


@pytest.mark.parametrize("change", [swap, add])
@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_other_images_are_refused_and_nothing_is_touched(state, change, recipe_file, data, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(recipe_file, data, out) == 0
    if state == "interrupted":
        interrupt(out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    change(data)
    assert run(recipe_file, data, out) == 2
    said = capsys.readouterr().err
    assert f"{out} holds another run: data.digest:" in said
    assert ("data.images: 14 -> 15" in said) == (change is add)
    assert {path: path.read_bytes() for path in before} == before


def test_images_may_move(finished, recipe_file, data, capsys):
    assert run(recipe_file, data, finished) == 0
    assert "skipped" in capsys.readouterr().out


def test_finished_run_without_its_states_is_skipped(finished, recipe_file, images, capsys):
    shutil.rmtree(finished / "states")
    before = (finished / "encoder.safetensors").read_bytes()
    assert run(recipe_file, images, finished) == 0
    assert f"skipped: {finished} already holds all 6 steps" in capsys.readouterr().out
    assert (finished / "encoder.safetensors").read_bytes() == before


def test_unfinished_encoder_without_a_state_is_not_overwritten(recipe_file, images, tmp_path, capsys):
    out = tmp_path / "run"
    process = start(recipe_file, images, out, "--set", "training.epochs=500")
    for line in process.stdout:
        if "step 3/" in line:
            process.send_signal(signal.SIGTERM)
            break
    process.stdout.read()
    assert process.wait() == 75
    shutil.rmtree(out / "states")
    assert run(recipe_file, images, out, "--set", "training.epochs=500") == 2
    assert "no state to go on from. Choose another --out, or start over with --resume never" in capsys.readouterr().err


def test_missing_data_are_an_error_in_a_finished_folder_too(finished, recipe_file, tmp_path, capsys):
    assert run(recipe_file, tmp_path / "nowhere", finished) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_two_runs_do_not_share_a_folder(recipe_file, images, tmp_path, capsys):
    process = start(recipe_file, images, tmp_path / "run", "--set", "training.epochs=500")
    for line in process.stdout:
        if "step 1/" in line:
            break
    assert run(recipe_file, images, tmp_path / "run", "--set", "training.seed=1") == 2
    assert f"is in use by process {process.pid} on" in capsys.readouterr().err
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait() == 75


def test_changed_recipe_is_refused_unless_allowed(finished, recipe_file, images, capsys):
    change = ["--set", "optimizer.clip=1.0"]
    assert run(recipe_file, images, finished, *change) == 2
    assert "optimizer.clip: 3.0 -> 1.0 (there -> asked for)" in capsys.readouterr().err
    interrupt(finished)
    assert run(recipe_file, images, finished, *change) == 2
    assert run(recipe_file, images, finished, *change, "--allow-config-change", "optimizer.clop") == 2
    assert "Did you mean 'optimizer.clip'?" in capsys.readouterr().err
    assert run(recipe_file, images, finished, *change, "--allow-config-change", "optimizer.clip") == 0
    assert "resuming" in capsys.readouterr().out
    assert run(recipe_file, images, finished) == 2  # it is a run with that change now


def test_a_longer_run_goes_on_where_it_is_allowed(finished, recipe_file, images, capsys):
    longer = ["--set", "training.epochs=3"]
    assert run(recipe_file, images, finished, *longer, "--allow-config-change", "training.epochs") == 0
    assert "resuming" in capsys.readouterr().out
    assert load_encoder(finished / "encoder.safetensors").pretraining["epochs"] == 3
    assert run(recipe_file, images, finished, "--allow-config-change", "training.epochs") == 2
    assert "holds 9 steps, more than the 6 asked for" in capsys.readouterr().err


def test_a_run_that_made_nothing_binds_nobody(recipe_file, images, tmp_path):
    out = tmp_path / "run"
    fails = ["--set", "loss.gamma=1e39", "--set", "runtime.max_skipped_steps=0"]
    assert run(recipe_file, images, out, *fails) == 2
    assert run(recipe_file, images, out) == 0
    assert [row["step"] for row in log(out)] == list(range(6))


def test_a_run_that_ends_in_non_finite_steps_says_that_it_diverged(recipe_file, images, tmp_path, capsys):
    """Its six steps are fewer than the ten that may be skipped."""
    assert run(recipe_file, images, tmp_path / "run", "--set", "loss.gamma=1e39") == 0
    assert "non-finite steps: it has diverged" in capsys.readouterr().err


def test_runtime_keys_change_nothing(finished, recipe_file, images, tmp_path, capsys):
    other = ["--set", "runtime.workers=0", "--set", "runtime.checkpoint_every=1", "--set", "runtime.keep=1"]
    other += ["--set", "runtime.activation_checkpointing=True"]
    assert run(recipe_file, images, finished, *other) == 0
    assert "skipped" in capsys.readouterr().out
    rows, encoder = log(finished), load_encoder(finished / "encoder.safetensors")
    interrupt(finished)
    assert run(recipe_file, images, finished, *other) == 0
    assert "resuming" in capsys.readouterr().out
    assert log(finished) == rows
    again = load_encoder(finished / "encoder.safetensors")
    assert again.model_fields()["fingerprint"] == encoder.model_fields()["fingerprint"]
    assert len(list((finished / "states").glob("*.pt"))) == 1


def test_starting_over_keeps_the_old_run_until_there_is_a_new_state(finished, recipe_file, images, capsys):
    old = (finished / "encoder.safetensors").read_bytes()
    shorter = ["--set", "training.epochs=1", "--resume", "never"]
    fails = ["--set", "loss.gamma=1e39", "--set", "runtime.max_skipped_steps=0", "--set", "runtime.checkpoint_every=50"]
    assert run(recipe_file, images, finished, *shorter, *fails) == 2
    assert (finished / ".previous" / "encoder.safetensors").read_bytes() == old
    assert len(list((finished / ".previous" / "states").glob("*.pt"))) == 3
    assert str(finished / ".previous") in capsys.readouterr().out
    assert run(recipe_file, images, finished, *shorter) == 0
    assert not (finished / ".previous").exists()
    assert load_encoder(finished / "encoder.safetensors").pretraining["epochs"] == 1
    assert run(recipe_file, images, finished, *shorter[:2]) == 0
    assert "skipped" in capsys.readouterr().out


def test_what_fails_early_leaves_a_folder_alone(finished, recipe_file, images, capsys):
    names = sorted(path.name for path in finished.iterdir())
    for change in ("stage.checkpoint=/nowhere.pth", "training.batch_size=100", "training.seed=-1"):
        assert run(recipe_file, images, finished, "--resume", "never", "--set", change) == 2
    assert sorted(path.name for path in finished.iterdir()) == names


def test_earlier_stage_is_known_by_its_weights(finished, recipe_file, images, tmp_path, capsys):
    moved = shutil.copy(finished / "encoder.safetensors", tmp_path / "moved.safetensors")
    second = tmp_path / "second"

    def stage(path):
        return run(recipe_file, images, second, "--set", f"stage.checkpoint={path}", "--set", "stage.attention_level=1")

    assert stage(finished / "encoder.safetensors") == 0
    assert stage(moved) == 0
    assert "skipped" in capsys.readouterr().out
    assert stage(f"{moved}?heads=1") == 2, "the same weights with other heads are another encoder"
    assert "stage.checkpoint: " in capsys.readouterr().err
    shutil.copy(second / "encoder.safetensors", moved)
    assert stage(moved) == 2
    assert "stage.checkpoint: " in capsys.readouterr().err


def test_earlier_stage_of_other_patches_is_refused(finished, recipe_file, images, tmp_path, capsys):
    change = ["--set", f"stage.checkpoint={finished / 'encoder.safetensors'}", "--set", "stage.attention_level=1"]
    sizes = ["--set", "encoder.patch_size=4", "--set", "encoder.image_size=48"]
    assert run(recipe_file, images, tmp_path / "second", *change, *sizes) == 2
    assert "stage.checkpoint has patches of 8 pixels, encoder.patch_size is 4" in capsys.readouterr().err


def test_temporary_files_of_a_killed_run_are_removed(finished, recipe_file, images):
    left = [finished / ".encoder.safetensors.tmp-a1.safetensors", finished / "states" / ".step_1.pt.tmp-b2.pt"]
    for path in left:
        path.write_bytes(b"half")
    assert run(recipe_file, images, finished) == 0
    assert not any(path.exists() for path in left)


def test_identity_is_written_down(finished):
    written = json.loads((finished / "run.json").read_text())
    assert written["finished"] == {"steps": 6}
    assert written["identity"]["method"] == "FLSL"
    assert written["identity"]["data"]["images"] == 14
    assert "runtime" not in written["identity"]


def test_a_run_that_repeats_on_every_device_says_so(finished, recipe_file, images, tmp_path, capsys):
    """On a CPU every run does; the setting is part of what a run is, and away once the run is over."""
    asked = ["--set", "training.deterministic=True"]
    assert run(recipe_file, images, finished, *asked) == 2
    assert "training.deterministic: None -> True" in capsys.readouterr().err
    assert run(recipe_file, images, tmp_path / "other", *asked) == 0
    assert not torch.are_deterministic_algorithms_enabled()
    assert log(tmp_path / "other") == log(finished)
    assert load_encoder(tmp_path / "other" / "encoder.safetensors").pretraining["recipe"]["training"]["deterministic"]
