"""Training for real, at a size of seconds: what comes out, what is proven on the way, and how it fails."""

import json
import multiprocessing
import os
import shutil
import signal
import time

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from eval.finetune import hooks
from eval.finetune.config import FETCH_EVERY
from eval.finetune.predict import predict
from eval.finetune.runner import quiet
from eval.finetune.sampling import EndlessAspectSampler
from eval.finetune.weights import read_metadata, read_model, read_seconds
from flsl.checkpoint import fingerprint, load_encoder
from flsl.runtime.errors import UserError
from flsl.runtime.preemption import Preempted


def test_a_training_ends_in_a_detector_that_detects(
    train, detection, drawn, encoder_file, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("eval.progress.LOG", 0)  # so short a phase says nothing otherwise
    detector = train()
    metadata, weights = read_model(detector, "detector")
    assert [category["id"] for category in metadata["categories"]] == [1, 3, 4, 9]
    assert metadata["iterations"] == 2
    loaded = load_encoder(encoder_file)
    assert metadata["training"]["encoder"] == loaded.fingerprint
    assert weights["roi_head.bbox_head.fc_cls.weight"].shape[0] == 5
    # The full log is in the file; the user sees progress and nothing of mmengine.
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert "train 2/2" in shown
    assert "mmengine" not in shown
    log = (tmp_path / "out" / "train" / "train.log").read_text()
    assert f"encoder fingerprint: checkpoint {fingerprint(loaded.encoder)}" in log

    found = predict(detection("testing.score_threshold=0.0"))
    assert found == json.loads((tmp_path / "out" / "detections.json").read_text())
    annotations = drawn / "annotations" / "instances_val2017.json"
    images = {image["id"]: image for image in json.loads(annotations.read_text())["images"]}
    assert {result["image_id"] for result in found} == set(images)
    for result in found:
        x, y, width, height = result["bbox"]
        assert result["category_id"] in (1, 3, 4, 9)
        assert min(x, y, width, height) >= 0
        assert x + width <= 128.01
        assert y + height <= 96.01
        assert result["segmentation"]["size"] == [96, 128]

    # Asked again, nothing is trained again. (That it is the same training, `Run.claim` holds: tests/eval/test_contract.py.)
    before = detector.stat().st_mtime_ns
    assert train() == detector
    assert detector.stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_detector(train, tmp_path):
    first, again, other = (
        read_model(train("runtime.workers=0", out=tmp_path / name, seed=seed), "detector")[1]
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["backbone.pyramid.fpn2.0.weight"], other["backbone.pyramid.fpn2.0.weight"])


def test_the_written_mmdet_configuration_builds_the_same_encoder(train, encoder_file, tmp_path):
    """mmengine's own Runner, from the file alone: the weights are the checkpoint's before and after initialization."""
    train()
    config = Config.fromfile(tmp_path / "out" / "mmdet_config.py")
    config.work_dir = str(tmp_path / "again")
    expected = fingerprint(load_encoder(encoder_file).encoder)
    runner = Runner.from_cfg(config)
    model = runner.model
    assert fingerprint(model.backbone.encoder) == expected
    model.init_weights()
    for mode in (True, False):
        assert fingerprint(model.train(mode).backbone.encoder) == expected
    # In test mode mmengine initializes nothing: the constructor must have loaded the weights.
    tested = MODELS.build(config.model)
    assert fingerprint(tested.eval().backbone.encoder) == expected
    # A detector without its checkpoint has other weights, so the comparison can fail.
    config.model.backbone.init_cfg = None
    assert fingerprint(MODELS.build(config.model).backbone.encoder) != expected


def test_an_interrupted_training_goes_on_where_it_stopped(train, tmp_path, capsys, monkeypatch):
    overrides = ("training.iterations=5", "runtime.checkpoint_every=2")
    shown = hooks.ProgressHook.after_train_iter

    def interrupt(self, runner, *args, **kwargs):
        shown(self, runner, *args, **kwargs)
        if runner.iter == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hooks.ProgressHook, "after_train_iter", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(*overrides)
    assert not (tmp_path / "out" / "detector.safetensors").exists()
    detector = train(*overrides)
    assert "resuming at iteration 2 of 5" in capsys.readouterr().out
    assert read_metadata(detector, "detector")["iterations"] == 5
    state = torch.load(tmp_path / "out" / "train" / "iter_5.pth", weights_only=True)
    # Milestones at 8/12 and 11/12 of 5 iterations are behind, so the rate is a hundredth, however often it stopped.
    assert state["optimizer"]["param_groups"][0]["lr"] < 1e-5 * 1.01


@pytest.mark.parametrize("workers", [0, 1])
def test_a_signal_saves_the_state_and_stops(train, tmp_path, capsys, workers):
    """As Slurm sends it before a job's time ends: nothing since the last regular state is lost."""
    overrides = ("training.iterations=5", f"runtime.workers={workers}")
    before = signal.getsignal(signal.SIGUSR1)

    class Sender(Hook):
        def after_train_iter(self, runner, *args, **kwargs):
            if runner.iter == 1:
                os.kill(os.getpid(), signal.SIGUSR1)

    with pytest.raises(Preempted, match="after iteration 3 of 5; run the same command again"):
        train(*overrides, hooks=[Sender()])
    assert signal.getsignal(signal.SIGUSR1) is before
    spent = torch.load(tmp_path / "out" / "train" / "iter_3.pth", weights_only=True)["seconds"]
    assert read_metadata(train(*overrides), "detector")["iterations"] == 5
    assert read_seconds(tmp_path / "out") > spent > 0  # of both processes
    assert "resuming at iteration 3 of 5" in capsys.readouterr().out


def test_a_signal_to_every_process_stops_a_prediction_in_words(train, detection, monkeypatch):
    """As Slurm sends it: a loading process that died of it was a traceback."""
    task = detection("runtime.workers=1", "testing.batch=1")
    train()

    def collect(self, samples, categories):
        for process in (*multiprocessing.active_children(), multiprocessing.current_process()):
            os.kill(process.pid, signal.SIGTERM)
        time.sleep(0.5)
        return []

    monkeypatch.setattr(type(task), "collect", collect)
    with pytest.raises(Preempted, match="of 4 batches; run the same command again"):
        predict(task)


def test_the_order_of_images_does_not_depend_on_interruptions(drawn):
    from itertools import islice

    class Data:
        is_wide = torch.arange(20).numpy() % 3 == 0

    def order(skip, seed=0):
        sampler = EndlessAspectSampler(Data, batch=3, seed=seed)
        sampler.skip(skip)
        return list(islice(sampler, 60 - skip))

    whole = order(0)
    assert order(15) == whole[15:]
    assert order(0, seed=1) != whole
    for start in range(0, 60, 3):  # every batch has one orientation
        assert len({bool(Data.is_wide[index]) for *_, index in whole[start : start + 3]}) == 1
    assert {index for *_, index in whole} == set(range(20))


@pytest.mark.parametrize("every", [1, 3])
def test_a_loss_that_is_not_finite_stops_and_names_the_images(train, every, monkeypatch):
    monkeypatch.setitem(FETCH_EVERY, "cpu", every)
    overrides = ("training.learning_rate=1e30", "training.warmup_factor=1.0", "training.iterations=4")
    with pytest.raises(UserError, match=r"loss of iteration \d is not finite .*000000\d+\.jpg.*learning_rate"):
        train(*overrides)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_is_named(train, drawn, tmp_path, workers):
    images = tmp_path / "images"
    shutil.copytree(drawn / "train2017", images)
    for file in images.iterdir():
        file.write_bytes(file.read_bytes()[:-200])  # cut off, as an interrupted download is
    with pytest.raises(UserError) as error:
        train(f"runtime.workers={workers}", f"data.train_images={images}")
    assert str(error.value).startswith(f"image {images}/000000")
    assert "the file is cut off" in str(error.value)
    assert "Traceback" not in str(error.value)


def test_running_out_of_memory_says_what_helps(tmp_path):
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ):
        with pytest.raises(UserError) as raised, quiet(tmp_path / "log"):
            raise error
        text = str(raised.value)
        assert text.index("checkpoint_activations") < text.index("precision=bf16") < text.index("training.batch")
    with pytest.raises(RuntimeError, match="another"), quiet(tmp_path / "log"):
        raise RuntimeError("another error")


def test_other_categories_than_trained_on_are_refused(train, detection, drawn, tmp_path):
    content = json.loads((drawn / "annotations" / "instances_val2017.json").read_text())
    content["categories"][0]["name"] = "oval"
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    train()
    with pytest.raises(UserError, match="differ in their categories"):
        predict(detection(f"data.val_annotations={path}"))


def test_a_recipe_for_another_encoder_is_refused(train):
    with pytest.raises(UserError, match="this recipe is for vit_small/16, but the checkpoint is a vit_32x4h2/16"):
        train("model.encoder=vit_small/16")


def test_all_options_of_training_together(train):
    detector = train(
        "model.detector=faster-rcnn",
        "model.frozen_blocks=1",
        "model.drop_path=0.2",
        "training.layer_decay=0.7",
        "training.clip_norm=1.0",
        "training.ema=0.1",
        "training.precision=bf16",
        "training.keep_empty_images=True",
        "runtime.checkpoint_activations=None",
        "images.crop=True",
    )
    _, weights = read_model(detector, "detector")
    assert all(torch.isfinite(value.float()).all() for value in weights.values())
    assert not any("mask_head" in name for name in weights)


def test_values_at_the_ends_of_their_ranges_work(train, detection):
    overrides = (
        "training.iterations=1",
        "training.milestones=()",
        "training.layer_decay=1",
        "training.warmup_factor=1",
        "training.warmup_iterations=0",
        "model.frozen_blocks=4",
        "model.fc_layers=0",
        "model.box_convs=1",
        "model.mask_convs=0",
        "model.rpn_samples=1",
        "model.roi_samples=1",
        "model.train_proposals=(1, 1)",
        "model.test_proposals=(1, 1)",
        "model.ignore_overlap=1",
        "images.flip=1",
        "images.test_short_side=2",
        "testing.score_threshold=1",
        "testing.nms_overlap=0",
        "testing.max_detections=1",
        "testing.batch=16",
    )
    train(*overrides)
    assert predict(detection(*overrides)) == []
