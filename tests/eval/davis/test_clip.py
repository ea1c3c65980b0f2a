"""End to end: the masks, J and F that the public scripts give for the first frames of a real sequence."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from eval.__main__ import main
from eval.davis.dataset import open_dataset
from eval.davis.scoring import score_video
from results.store import read_record


@pytest.fixture(scope="module")
def clip(reference_dir):
    folder = reference_dir / "davis" / "clip"
    if not folder.is_dir():
        pytest.skip(f"reference clip absent: {folder}")
    return folder


@pytest.fixture(scope="module")
def dog(clip, data_dir, tmp_path_factory):
    """The clip's frames of `dog` as a data set of their own."""
    source = data_dir / "davis2017"
    if not (source / "JPEGImages/480p/dog").is_dir():
        pytest.skip(f"real frames absent: {source}")
    root = tmp_path_factory.mktemp("dog")
    for kind, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
        folder = root / kind / "480p" / "dog"
        folder.mkdir(parents=True)
        for mask in sorted((clip / "dino").glob("*.png")):
            shutil.copy(source / kind / "480p" / "dog" / f"{mask.stem}.{suffix}", folder)
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("dog\n")
    return root


@pytest.mark.parametrize("name", ["dino", "flsl"])
def test_masks_and_scores_of_the_public_script(name, clip, dog, tmp_path):
    arrays = np.load(clip / f"checkpoint_{name}.npz")
    weights = {
        key.removeprefix("teacher/"): torch.from_numpy(arrays[key]).float()
        for key in arrays.files
        if key.startswith("teacher/")
    }
    checkpoint = tmp_path / "checkpoint.pth"
    torch.save({"teacher": weights}, checkpoint)
    out = tmp_path / "out"
    code = main(["davis", "--checkpoint", str(checkpoint), "--data", str(dog), "--out", str(out), "--device", "cpu"])
    assert code == 0

    differing = 0
    for expected in sorted((clip / name).glob("*.png")):
        mask = np.asarray(Image.open(out / "predictions" / "dog" / expected.name))
        differing += np.count_nonzero(mask != np.asarray(Image.open(expected)))
    print(f"{name}: {differing} pixels differ")
    assert differing <= 50

    expect = json.loads((clip / "expected.json").read_text())["results"][name]["object_1"]
    record = read_record(out / "record.json")
    for metric in "JF":
        for key, statistic in ((metric, "mean"), (f"{metric}_recall", "recall"), (f"{metric}_decay", "decay")):
            assert record.metrics[key].value == pytest.approx(100 * expect[metric][statistic], abs=0.1)
    (video,) = open_dataset(dog).choose()
    for folder, tolerance in ((out / "predictions" / "dog", 1e-3), (clip / name, 1e-9)):
        for values, metric in zip(score_video(video, folder).values[:, 0], "JF"):
            assert values == pytest.approx(expect[metric]["frames"], abs=tolerance), (folder, metric)
    assert record.protocol == "davis2017/dino@1"
    assert not record.dataset.official
