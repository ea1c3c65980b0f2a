"""End to end: the masks, J and F that the public scripts give for the first frames of a real sequence."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from support.reference import reference_files

from eval.__main__ import main
from eval.davis.dataset import open_dataset
from eval.davis.scoring import score_video
from results.store import read_record


def copy_frames(sequence, masks, data_dir, root):
    """Make a data set of the frames of `sequence` that have a mask in the folder `masks`."""
    sources = sorted(source for source in data_dir.glob("davis*") if (source / "JPEGImages/480p" / sequence).is_dir())
    if not sources:
        pytest.skip(f"real frames absent: no davis*/JPEGImages/480p/{sequence} in {data_dir}")
    source = next((source for source in sources if source.name == "davis2017"), sources[0])
    for kind, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
        folder = root / kind / "480p" / sequence
        folder.mkdir(parents=True)
        for mask in sorted(masks.glob("*.png")):
            shutil.copy(source / kind / "480p" / sequence / f"{mask.stem}.{suffix}", folder)
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text(f"{sequence}\n")


@pytest.mark.parametrize("path", reference_files("davis/clip*/checkpoint_*.npz"))
def test_reference_masks_and_scores_of_the_public_script(path, data_dir, tmp_path):
    clip, name = path.parent, path.stem.removeprefix("checkpoint_")
    published = json.loads((clip / "expected.json").read_text())
    sequence, data = published["clip"]["sequence"], tmp_path / "data"
    copy_frames(sequence, clip / name, data_dir, data)
    arrays = np.load(path)
    weights = {
        key.removeprefix("teacher/"): torch.from_numpy(arrays[key]).float()
        for key in arrays.files
        if key.startswith("teacher/")
    }
    checkpoint = tmp_path / "checkpoint.pth"
    torch.save({"teacher": weights}, checkpoint)
    out = tmp_path / "out"
    code = main(["davis", "--checkpoint", str(checkpoint), "--data", str(data), "--out", str(out), "--device", "cpu"])
    assert code == 0

    differing = 0
    for expected in sorted((clip / name).glob("*.png")):
        mask = np.asarray(Image.open(out / "predictions" / sequence / expected.name))
        differing += np.count_nonzero(mask != np.asarray(Image.open(expected)))
    print(f"{name}: {differing} pixels differ")
    assert differing <= 50

    of_clip = published["results"][name]
    objects = [of_clip[f"object_{n}"] for n in range(1, 256) if f"object_{n}" in of_clip]
    record = read_record(out / "record.json")
    for metric in "JF":
        for key, statistic in ((metric, "mean"), (f"{metric}_recall", "recall"), (f"{metric}_decay", "decay")):
            expect = np.mean([each[metric][statistic] for each in objects])
            assert record.metrics[key].value == pytest.approx(100 * expect, abs=0.1)
    (video,) = open_dataset(data).choose()
    for folder, tolerance in ((out / "predictions" / sequence, 1e-3), (clip / name, 1e-9)):
        scores = score_video(video, folder).values  # (2, objects, frames)
        assert scores.shape[1] == len(objects)
        for number, each in enumerate(objects):
            for values, metric in zip(scores[:, number], "JF"):
                assert values == pytest.approx(each[metric]["frames"], abs=tolerance), (folder, number + 1, metric)
    assert record.protocol == "davis2017/dino@1"
    assert not record.dataset.official
