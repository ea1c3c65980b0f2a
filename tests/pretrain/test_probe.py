"""The online probe: what it writes, when it looks, and that it says in words what goes wrong."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from support.pretrain_run import log, run

from flsl import load_encoder
from flsl.components import Components
from flsl.pixels import pixel_tokens
from flsl.runtime.errors import UserError
from pretrain.diagnosis import diagnose
from pretrain.journal import Journal
from pretrain.labeled import Labeled, read_labeled
from pretrain.methods.flsl import Method
from pretrain.probe import Probe, in_context_miou

START = Components(rank=11.5, between_images=0.19, place=0.13, color=0.56, attended=0.6)
OLD_SCALES = ("mean_shift.scale_sa=0.0072", "mean_shift.scale_ca=0.0144")
QUICK = ("optimizer.lr=0.4", "optimizer.ema_momentum=0.9", "temperature.teacher_start=0.03", "temperature.teacher=0.03")


def probed(out):
    return {row["step"] + 1: row["probe"] for row in log(out) if "probe" in row}


def options(*settings):
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture
def labeled(tmp_path):
    """CamVid's layout: sky above road, drawn."""
    random = np.random.default_rng(0)
    for i in range(6):
        mask = np.zeros((36, 48), np.uint8)
        mask[18 + i :], mask[:2] = 3, 11
        colors = np.where((mask == 3)[..., None], (60, 60, 60), (120, 160, 250)) + random.integers(-20, 20, (36, 48, 3))
        for folder, array in (("train", colors.clip(0, 255).astype(np.uint8)), ("trainannot", mask)):
            (tmp_path / "camvid" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "camvid" / folder / f"{i}.png")
    return tmp_path / "camvid"


def test_old_scales_are_diagnosed_as_collapsing_while_the_loss_falls(recipe_file, images, tmp_path, capsys, one_thread):
    settings = options(*OLD_SCALES, *QUICK, "training.epochs=10", "probe.epochs=5", "runtime.workers=0")
    assert run(recipe_file, images, tmp_path / "run", *settings) == 0
    said = capsys.readouterr().err
    assert "features collapse" in said
    assert "while the loss fell" in said
    assert "mean_shift.scale_sa" in said
    found = probed(tmp_path / "run")
    assert list(found) == [0, 15, 30]
    assert found[30]["rank"] < 0.5 * found[0]["rank"]
    assert found[30]["attended"] > 0.9


def test_labeled_images_are_segmented_in_context(recipe_file, images, labeled, tmp_path, capsys):
    settings = options("probe.epochs=2", "probe.images=4", "runtime.workers=0")
    assert run(recipe_file, images, tmp_path / "run", "--probe-data", labeled, *settings) == 0
    found = probed(tmp_path / "run")
    assert list(found) == [0, 6]
    assert 80 < found[6]["pixels_miou"] <= 100
    assert 0 < found[6]["in_context_miou"] <= 100
    assert 0 < found[6]["placeless_miou"] <= 100
    (said,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("probe after 6 steps: "))
    for name, share, unit in (("rank", 1, ""), ("attended", 100, " %"), ("in_context_miou", 1, " %")):
        now, before = (f"{share * found[step][name]:.1f}" for step in (6, 0))
        assert f"{name.replace('_', ' ')} {now}{unit} (untrained {before})" in said
    assert (tmp_path / "run" / "tensorboard").is_dir()


def test_probe_changes_no_result(recipe_file, images, finished, tmp_path, capsys):
    assert run(recipe_file, images, tmp_path / "probed", *options("probe.epochs=1", "runtime.workers=0")) == 0
    marks = [load_encoder(out / "encoder.safetensors").fingerprint for out in (finished, tmp_path / "probed")]
    assert marks[0] == marks[1]
    assert run(recipe_file, images, finished, *options("probe.epochs=1")) == 0  # the same run
    assert "skipped" in capsys.readouterr().out


def test_a_resumed_run_looks_no_second_time_at_the_untrained_network(recipe_file, images, tmp_path):
    short = options("probe.epochs=1", "training.epochs=1", "runtime.workers=0")
    assert run(recipe_file, images, tmp_path / "run", *short) == 0
    longer = options("probe.epochs=1", "probe.images=3", "runtime.workers=0")
    assert run(recipe_file, images, tmp_path / "run", *longer, "--allow-config-change", "training.epochs") == 0
    assert list(probed(tmp_path / "run")) == [0, 3, 6]


def test_a_run_that_ended_between_a_state_and_its_turn_looks_when_it_goes_on(recipe_file, images, tmp_path, capsys):
    out = tmp_path / "run"
    settings = options(
        "probe.epochs=1",
        "probe.images=3",
        "runtime.workers=0",
        "runtime.checkpoint_every=3",
        "runtime.pictures_every=1",
    )
    assert run(recipe_file, images, out, *settings) == 0
    whole = log(out)
    picture, *later = out / "pictures/step_000003.png", *out.glob("states/step_00000006.*"), out / "encoder.safetensors"
    drawn = picture.read_bytes()
    for file in (picture, *later):
        file.unlink()
    lines = (out / "log.jsonl").read_text().splitlines(keepends=True)
    (at,) = (i for i, row in enumerate(whole) if "probe" in row and row["step"] == 2)
    (out / "log.jsonl").write_bytes("".join(lines[:at]).encode() + b'{"step": 3, "lo\xff')
    assert run(recipe_file, images, out, *settings) == 0
    assert "resuming" in capsys.readouterr().out
    assert log(out) == whole
    assert picture.read_bytes() == drawn


def test_a_run_that_was_killed_before_its_last_look_takes_it_when_it_goes_on(
    recipe_file, images, tmp_path, capsys, monkeypatch
):
    """All steps are done and the encoder is written: what follows is not lost with the process."""
    settings = options("probe.epochs=1", "probe.images=3", "runtime.workers=0", "runtime.pictures_every=1")
    assert run(recipe_file, images, tmp_path / "whole", *settings) == 0
    out, look = tmp_path / "run", Probe.look

    class Killed(BaseException):
        pass

    def killed(self, done):
        if done == 6:
            raise Killed
        look(self, done)

    with monkeypatch.context() as patch:
        patch.setattr(Probe, "look", killed)
        with pytest.raises(Killed):
            run(recipe_file, images, out, *settings)
    made = (out / "encoder.safetensors").read_bytes()
    assert run(recipe_file, images, out, *settings) == 0
    assert log(out) == log(tmp_path / "whole")
    assert list(probed(out)) == [0, 3, 6]
    assert (out / "pictures/step_000006.png").is_file()
    assert (out / "encoder.safetensors").read_bytes() == made
    capsys.readouterr()
    assert run(recipe_file, images, out, *settings) == 0
    assert "already holds all 6 steps" in capsys.readouterr().out


def test_a_probe_that_is_switched_on_later_calls_nothing_untrained(recipe_file, images, tmp_path, capsys):
    assert run(recipe_file, images, tmp_path / "run", *options("training.epochs=1", "runtime.workers=0")) == 0
    longer = options("probe.epochs=1", "probe.images=3", "runtime.workers=0")
    assert run(recipe_file, images, tmp_path / "run", *longer, "--allow-config-change", "training.epochs") == 0
    said = capsys.readouterr().out
    assert list(probed(tmp_path / "run")) == [3, 6]
    assert "probe after 3 steps" in said
    assert "untrained" not in said


def test_a_line_that_a_full_disk_cut_short_ends_no_training(tmp_path, monkeypatch):
    sizes = dict(first_step=0, total_steps=2, steps_per_epoch=1, batch_size=1, terms=())
    journal = Journal(tmp_path, **sizes)
    with open(journal.path, "a") as file:
        file.write('{"step": 0, "lo')
    journal.note(1, {"rank": 1.0})
    journal.note(2, {"rank": 2.0})
    with monkeypatch.context() as patch:
        parsed, parse = [], json.loads
        patch.setattr(json, "loads", lambda text: parsed.append(text) or parse(text))
        assert [row["probe"]["rank"] for row in journal.rows()] == [2.0]
    assert len(parsed) == 2  # each line once: the log of a long run has many
    journal.close()
    journal.path.unlink()  # one that was deleted begins anew
    later = Journal(tmp_path, **sizes | {"first_step": 1})
    assert later.rows() == []
    later.close()


@pytest.mark.parametrize(
    ("now", "losses", "words"),
    [
        ({"rank": 3.2}, (4.0, 2.0), "effective rank is 3.2, before training 11.5, while the loss fell from 4 to 2"),
        ({"place": 0.33}, (4.2, 1.38), "it explains 33% of their variance, before training 13%"),
        ({"color": 0.83}, (4.2, 1.38), "mean color of their patch: it explains 83%"),
        ({}, (4.85, 4.84), "loss is flat"),
    ],
)
def test_each_fault_is_named(now, losses, words):
    (sentence,) = diagnose(START, dataclasses.replace(START, **now), [losses[0]] * 6 + [losses[1]] * 6, Method.advice)
    assert words in sentence


def test_few_centroids_are_named_where_the_entropy_of_the_mean_assignment_looks_well():
    """What a small FLSL run did: 117 of 2,048 centroids before training, 5 after it, at an entropy of 98 % of its maximum."""
    losses = np.linspace(7.2, 4.2, 20).tolist()
    (sentence,) = diagnose(START, START, losses, Method.advice, [117, 24, 14, 5, 5, 5])
    assert "assignments collapse: 5 centroids" in sentence
    assert "before training 117" in sentence
    assert "loss.gamma" in sentence
    assert diagnose(START, START, losses, Method.advice, [117, 86, 65, 62, 62, 67]) == []


def test_a_sound_run_is_not_complained_of():
    assert (
        diagnose(
            START,
            dataclasses.replace(START, rank=14.7, between_images=0.3),
            np.linspace(4, 2, 20).tolist(),
            Method.advice,
        )
        == []
    )
    assert diagnose(START, START, [], Method.advice) == []


def test_features_of_the_classes_segment_better_than_noise():
    random = torch.Generator().manual_seed(0)
    masks = torch.randint(3, (8, 4, 4), generator=random).repeat_interleave(8, 1).repeat_interleave(8, 2)
    data = Labeled(torch.zeros(8, 3, 32, 32), masks, 3)
    classes = torch.nn.functional.one_hot(masks[:, ::8, ::8].flatten(1), 3).float()
    assert in_context_miou(classes, data) > 80  # bilinear borders
    assert in_context_miou(torch.randn(8, 16, 5, generator=random), data) < 50
    assert not math.isnan(in_context_miou(pixel_tokens(data.images, 8), data))


@pytest.mark.parametrize("settings", [(), ("probe.minutes=5",)])
def test_probe_data_that_cannot_be_used(recipe_file, images, tmp_path, capsys, settings):
    assert run(recipe_file, images, tmp_path / "run", "--probe-data", images, *options(*settings)) == 2
    said = capsys.readouterr().err
    assert "trainannot/" in said if settings else "probe.epochs=1" in said


def test_a_mask_that_is_missing_is_named(labeled):
    (labeled / "trainannot" / "0.png").unlink()
    with pytest.raises(Exception, match=r"0\.png"):
        read_labeled(labeled, 32, 3)


@pytest.mark.parametrize(("listed", "classes"), [(b"", None), (b"caf\xe9\nroad\n", 2)])
def test_a_list_of_classes_is_counted_in_any_encoding_but_may_not_be_empty(labeled, tmp_path, listed, classes):
    for ours, theirs in (("train", "images"), ("trainannot", "masks")):
        (tmp_path / "plain" / theirs).mkdir(parents=True)
        (labeled / ours).rename(tmp_path / "plain" / theirs / "train")
    (tmp_path / "plain" / "classes.txt").write_bytes(listed)
    if classes:
        assert read_labeled(tmp_path / "plain", 32, 3).classes == classes
        return
    with pytest.raises(UserError, match=r"classes\.txt lists 0 classes"):
        read_labeled(tmp_path / "plain", 32, 3)
