"""Fine-tuned segmentation at a size of seconds: the published configuration, the record, resuming, and what is refused."""

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from support.packages import need

need("mmengine", "mmcv", "mmseg", "mmdet")

from mmengine.config import ConfigDict  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402
from mmengine.optim import LinearLR, PolyLR  # noqa: E402
from support.killed_detector import Send  # noqa: E402

from eval.__main__ import main  # noqa: E402
from eval.data.synthesize import synthesize  # noqa: E402
from eval.finetune.config import backbone_config, training_config  # noqa: E402
from eval.finetune.recipe import read_recipe  # noqa: E402
from eval.finetune.runner import open_library  # noqa: E402
from eval.finetune.train import train  # noqa: E402
from eval.finetune.weights import read_metadata, read_model  # noqa: E402
from eval.segment.fine_tuned.recipe import Recipe  # noqa: E402
from eval.segment.fine_tuned.task import FineTuning  # noqa: E402
from eval.segment.predictions import Predictions  # noqa: E402
from eval.segment.run import Options  # noqa: E402
from flsl.architecture import EncoderConfig  # noqa: E402
from flsl.checkpoint import fingerprint, load_encoder, save_encoder  # noqa: E402
from flsl.confusion import mean_iou  # noqa: E402
from flsl.encoder import Encoder  # noqa: E402
from flsl.runtime.preemption import Preempted  # noqa: E402
from results.store import read_record  # noqa: E402

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "segment"
RECIPES = sorted(CONFIGS.glob("*.py"))
TINY = (
    "training.iterations=3",
    "training.batch=2",
    "model.neck_channels=16",
    "model.head_channels=16",
    "images.short_side=96",
    "images.longest_side=128",
    "images.crop=64",
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six pictures to train on, four to evaluate. Not to be changed."""
    root = tmp_path_factory.mktemp("drawn") / "segment"
    synthesize("segment", root, count=6, val_count=4, height=96, width=128)
    return root


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A checkpoint of a ViT 32 wide with 4 blocks."""
    torch.manual_seed(0)
    config = EncoderConfig("custom", patch_size=16, image_size=96, embed_dim=32, depth=4, num_heads=2)
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    return str(save_encoder(Encoder(config), path, method="test", name="tiny"))


@pytest.fixture(scope="module")
def command(data, encoder):
    """`python -m eval segment`; returns the exit code. None leaves an argument out."""

    def run(out, *words, protocol="semantic-fpn_smoke", **changed):
        arguments = {"checkpoint": encoder, "data": data, "out": out, "protocol": protocol, "device": "cpu"} | changed
        options = [f"--{name}={value}" for name, value in arguments.items() if value is not None]
        return main(["segment", *options, *words])

    return run


@pytest.fixture
def run(command, tmp_path):
    """The command, in the folder `out`."""
    return partial(command, tmp_path / "out")


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    """A finished run by the tiny recipe. Not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert command(out, *SETS) == 0
    return out


@pytest.fixture
def out(finished, tmp_path):
    """A copy of the finished run: it is as good as the original."""
    return shutil.copytree(finished, tmp_path / "out")


SETS = [f"--set={change}" for change in TINY]


def task(data, out, *overrides, **options):
    return FineTuning(data, out, Options("semantic-fpn_smoke", overrides=(*TINY, *overrides), **options))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_reads_and_says_what_to_expect(path):
    recipe = read_recipe(path, cls=Recipe)
    assert path.stem.startswith(recipe.model.head)
    assert recipe.protocol.startswith("segment/")
    assert "modified" not in recipe.protocol
    assert "Expected" in path.read_text()


def test_the_published_recipe_holds_the_published_constants():
    recipe = read_recipe(CONFIGS / "semantic-fpn_vit-s16_40k.py", cls=Recipe)
    model, images, training = recipe.model, recipe.images, recipe.training
    assert (model.blocks, model.pyramid, model.drop_path, model.dropout) == ((2, 5, 8, 11), False, 0.1, 0.1)
    assert (model.neck_channels, model.head_channels) == (256, 128)
    assert (images.short_side, images.longest_side, images.scale, images.crop) == (512, 2048, (0.5, 2.0), 512)
    assert (training.learning_rate, training.batch, training.weight_decay) == (6e-5, 32, 0.01)
    assert (training.iterations, training.warmup_iterations, training.warmup_factor) == (40_000, 1500, 1e-6)


def test_the_learning_rate_is_that_of_the_published_schedule():
    """A warm-up that multiplies a fall which began at the first iteration."""
    recipe = read_recipe(CONFIGS / "semantic-fpn_smoke.py", ["training.iterations=50"], cls=Recipe)
    schedulers = training_config(recipe, "mmseg", 6, CPU)["param_scheduler"]
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], recipe.training.learning_rate)
    kinds = {"LinearLR": LinearLR, "PolyLR": PolyLR}
    built = [kinds[config.pop("type")](optimizer, **config) for config in schedulers]
    found = []
    for _ in range(50):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    step, training = np.arange(50), recipe.training
    share = np.minimum(step / (training.warmup_iterations - 1), 1)  # mmengine's last step of the warm-up is a whole one
    warm = training.warmup_factor + (1 - training.warmup_factor) * share
    np.testing.assert_allclose(found, training.learning_rate * warm * (1 - step / 50), rtol=1e-6)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_head_learns_from_every_trainable_weight(recipe, data, tmp_path):
    """One step at a small size; data parallelism would wait for a weight without gradient."""
    small = ("model.encoder=None", "model.blocks=None", *TINY[2:])
    protocol = read_recipe(recipe, cls=Recipe).protocol.partition("@")[0].partition("/")[2]
    one = FineTuning(data, tmp_path, Options(protocol, config=str(recipe), overrides=small))
    build_data, build_model = open_library(one)
    patch = 8 if "s8" in recipe.stem else 16
    backbone = backbone_config(
        one.recipe.model, EncoderConfig("custom", patch_size=patch, embed_dim=32, depth=4, num_heads=2)
    )
    model = build_model(ConfigDict(one.model(backbone, 5))).train()
    batch = pseudo_collate([build_data(one.dataset("train"))[(0, 0, index)] for index in range(2)])
    prepared = model.data_preprocessor(batch, training=True)
    assert prepared["inputs"].shape == (2, 3, 64, 64)
    maps = model.backbone(prepared["inputs"])
    strides = [64 // found.shape[-1] for found in maps]
    assert strides == ([4, 8, 16, 32] if one.recipe.model.pyramid else [patch] * 4)
    loss, _ = model.parse_losses(model(**prepared, mode="loss"))
    loss.backward()
    assert loss.isfinite()
    lacking = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert lacking == []


def test_the_record_says_what_was_made_of_what(finished, encoder):
    record = read_record(finished / "record.json")
    assert (record.protocol, record.status) == ("folder/semantic-fpn_smoke-modified@1", "complete")
    assert record.config["training"]["iterations"] == 3
    assert {"training", "prediction", "scoring"} <= set(record.timing.phases)
    assert all((finished / name).exists() for name in record.files.values())
    assert {"config", "segmentor", "predictions", "sheet"} <= set(record.files)
    rows = (finished / "confusion.csv").read_text().splitlines()
    total = np.array([[int(cell) for cell in row.split(",")[1:]] for row in rows[1:]])
    assert record.metrics["mIoU"].value == pytest.approx(mean_iou(total, "left out"))
    masks = [np.asarray(Image.open(path)) for path in sorted((finished / "predictions").iterdir())]
    assert {mask.shape for mask in masks} == {(96, 128)}
    # The encoder that was trained was the checkpoint's.
    loaded = load_encoder(encoder)
    proof, log = fingerprint(loaded.encoder), (finished / "train" / "train.log").read_text()
    assert f"encoder fingerprint: checkpoint {proof}, segmentor {proof}" in log
    assert read_metadata(finished / "segmentor.safetensors", "segmentor")["training"]["encoder"] == loaded.fingerprint


def test_a_finished_run_is_kept_completed_scored_and_tested_again(run, out, capsys, monkeypatch):
    record = read_record(out / "record.json")
    assert run(*SETS) == 0
    assert "skipped" in capsys.readouterr().out
    assert run(*SETS, "--set=training.learning_rate=0.5") == 2
    assert "training.learning_rate" in capsys.readouterr().err
    assert run("--score-only", checkpoint=None) == 0
    scored = read_record(out / "record.json")
    assert (scored.metrics, scored.protocol, scored.config) == (record.metrics, record.protocol, record.config)
    assert scored.dataset == record.dataset
    assert record.dataset.train_sha256 is not None

    # A run that lost its record and a prediction makes what lacks.
    (out / "record.json").unlink()
    lost = sorted((out / "predictions").iterdir())[1]
    before = lost.read_bytes()
    lost.unlink()
    monkeypatch.setattr("eval.progress.LOG", 0)  # so short a phase says nothing otherwise
    assert run(*SETS) == 0
    assert "predict 1/1" in "".join(capsys.readouterr())
    assert lost.read_bytes() == before

    for words, made in ((), None), (("--when-exists=overwrite",), "predict 4/4"):  # its own predictions are kept
        assert run(*SETS, "--test-only", *words) == 0
        shown = "".join(capsys.readouterr())
        assert made in shown if made else "predict " not in shown
        assert "train " not in shown
        again = read_record(out / "record.json")
        assert (again.metrics, again.dataset) == (record.metrics, record.dataset)


def test_predictions_of_another_recipe_are_not_taken_for_a_runs_own(run, out, capsys, monkeypatch):
    """Two tests of other precision were interrupted, the first after two images, the second before any."""
    (out / "record.json").unlink()  # a result is replaced at the user's word only
    rounded, usual = (f"--set=testing.precision={name}" for name in ("bf16", "fp32"))
    whole = {path: path.read_bytes() for path in (out / "predictions").iterdir()}

    def stop_at(count):
        made = []

        def write(self, *what):
            if len(made) == count:
                raise Preempted("stopped")
            made.append(what)
            own(self, *what)

        return write

    own = Predictions.write
    for change, count in ((rounded, 2), (usual, 0)):
        monkeypatch.setattr(Predictions, "write", stop_at(count))
        assert run(*SETS, change, "--test-only") == 75
        assert len(list((out / "predictions").glob("*"))) == count
    monkeypatch.setattr(Predictions, "write", stop_at(3))
    assert run(*SETS, usual) == 75
    monkeypatch.setattr(Predictions, "write", own)
    monkeypatch.setattr("eval.progress.LOG", 0)  # so short a phase says nothing otherwise
    capsys.readouterr()
    assert run(*SETS, usual) == 0
    assert "predict 1/1" in "".join(capsys.readouterr())  # its own three are kept
    assert {path: path.read_bytes() for path in (out / "predictions").iterdir()} == whole


def test_an_interrupted_training_ends_like_an_uninterrupted_one(data, encoder, tmp_path):
    """With everything that draws random numbers; to the bit."""
    six = ("training.iterations=6", "runtime.checkpoint_every=2", "model.drop_path=0.3", "model.dropout=0.5")
    stopped, whole = (task(data, tmp_path / name, *six) for name in ("stopped", "whole"))
    with pytest.raises(Preempted):
        train(stopped, encoder, hooks=[Send(signal.SIGUSR1, after=3)])
    first, second = (read_model(train(one, encoder), "segmentor")[1] for one in (stopped, whole))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_a_plan_costs_a_few_steps_and_keeps_nothing(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("eval.finetune.probe.STEPS", 3)
    assert run(*SETS, "--plan") == 0
    shown = capsys.readouterr().out
    for words in ("segment/semantic-fpn_smoke-modified@1", "train   6 images", "3 iterations", "falling to 0 linearly"):
        assert words in shown
    assert "predict 4 images" in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "changed", "message"),
    [
        (["--limit", "1"], {}, "limit is an option of frozen features; semantic-fpn_smoke trains a network"),
        (
            ["--plan"],
            {"protocol": "in-context-hbird"},
            "are of the protocols that train a network by a recipe: semantic",
        ),
        (["--test-only"], {"protocol": "in-context-hbird"}, "there is nothing to configure, or to test only"),
        (
            [f"--config={CONFIGS / 'upernet_vit-s16_160k.py'}"],
            {},
            "is a recipe of segment/upernet_160k, not of segment/sem",
        ),
        (["--set=images.crop=1"], {}, "images.crop must be at least 2, but is 1"),
        (["--set=testing.batch=4"], {}, "testing.batch must be one of 1"),
        (["--set=training.iterations=None"], {}, "training.iterations must be a whole number"),
        (
            [],
            {"protocol": "semantic-fpn_40k"},
            "this recipe is for vit_small/16, but the checkpoint is a vit_32x4h2/16",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_takes_time(run, tmp_path, capsys, words, changed, message):
    assert run(*words, **changed) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "train").exists()


def test_upernet_needs_two_images_in_a_batch(run, capsys):
    assert run("--set=training.batch=1", protocol="upernet_160k") == 2
    assert "training.batch must be at least 2" in capsys.readouterr().err


def test_a_mask_of_another_size_is_named(run, data, tmp_path, capsys):
    broken = shutil.copytree(data, tmp_path / "data")
    for path in (broken / "masks" / "train").iterdir():
        Image.fromarray(np.zeros((10, 10), np.uint8)).save(path)
    assert run(*SETS, data=broken) == 2
    error = capsys.readouterr().err
    assert "has 10x10 pixels, but its image" in error
    assert "Traceback" not in error


def test_a_segmentor_of_other_classes_is_refused(run, out, data, tmp_path, capsys):
    other = shutil.copytree(data, tmp_path / "data")
    names = (other / "classes.txt").read_text().splitlines()
    (other / "classes.txt").write_text("\n".join([*names[:-1], "oval"]) + "\n")
    assert run(*SETS, "--test-only", data=other) == 2
    assert "differ in their classes, e.g. ['" in capsys.readouterr().err


def test_ranks_share_what_is_to_do(data, tmp_path):
    """Predictions are written one by one: which are to do must not change while they are made."""
    one = task(data, tmp_path)
    (tmp_path / "segmentor.safetensors").write_bytes(b"")
    names = one.split("test").names
    assert list(one.pending(4)) == [0, 1, 2, 3]
    found = SimpleNamespace(number=2, pred_sem_seg=SimpleNamespace(data=torch.ones(1, 96, 128, dtype=torch.int64)))
    assert one.collect([found], []) == []
    assert [path.stem for path in (tmp_path / "predictions").iterdir()] == [names[2]]
    assert list(one.pending(4)) == [0, 1, 3]
    assert one.saved() is None
    assert list(task(data, tmp_path, test_only=True).pending(4)) == [0, 1, 3]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_streets_are_learned_from_scratch(data_dir, tmp_path):
    """The smoke recipe as it is on CamVid, five minutes of CPU time; 27.7 was measured, one class everywhere has below 4."""
    words = ["--checkpoint", "random:vit_micro/16", "--data", str(data_dir / "camvid"), "--out", str(tmp_path / "out")]
    assert main(["segment", "--protocol=semantic-fpn_smoke", *words, "--device=cpu"]) == 0
    assert read_record(tmp_path / "out" / "record.json").metrics["mIoU"].value >= 24
    rows = (line.split(",") for line in (tmp_path / "out" / "classes.csv").read_text().splitlines()[1:])
    found = {name: float(iou) for name, iou, *_ in rows}
    assert min(found["road"], found["sky"]) >= 75


@pytest.mark.slow
def test_two_processes_train_one_segmentor(data, encoder, tmp_path):
    """One record, every image once."""
    words = ["--protocol=semantic-fpn_smoke", f"--checkpoint={encoder}", f"--data={data}", "--device=cpu", *SETS]
    command = [sys.executable, "-m", "flsl", "launch", "2", "eval", "segment", *words, f"--out={tmp_path / 'out'}"]
    root = CONFIGS.parents[1]
    done = subprocess.run(command, cwd=root, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    record = read_record(tmp_path / "out" / "record.json")
    assert (record.status, record.dataset.items_evaluated) == ("complete", 4)
    assert len(list((tmp_path / "out" / "predictions").iterdir())) == 4
