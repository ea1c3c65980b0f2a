"""What the official tool does with void, late, vanishing and missing objects, and its averages."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from eval.davis.dataset import Video
from eval.davis.scoring import (
    VideoScore,
    global_scores,
    official_frame_score,
    score_video,
    score_videos,
    sums_over_objects,
)
from eval.metrics.j_and_f import boundary_f, jaccard, score_frame_plain, statistics
from eval.propagation.masks import write_mask
from flsl.runtime.errors import UserError

PALETTE = list(range(256)) * 3
FRAMES = 6


def square(mask, number, top, left, side=20):
    mask[top : top + side, left : left + side] = number


@pytest.fixture
def write(tmp_path):
    """Write label maps as a video or as its prediction."""

    def write(masks, folder="truth"):
        paths = [tmp_path / folder / "clip" / f"{index:05d}.png" for index in range(len(masks))]
        for path, mask in zip(paths, masks):
            write_mask(path, mask, PALETTE)
        return Video("clip", tuple(paths), (), masks[0].shape)

    return write


def blank():
    return [np.zeros((80, 100), np.uint8) for _ in range(FRAMES)]


def test_the_public_package_is_asked_object_by_object(monkeypatch):
    """A package that measures as the plain functions do stands for it: each object has its own masks, J comes first."""
    public = SimpleNamespace(db_eval_iou=jaccard, db_eval_boundary=boundary_f)
    monkeypatch.setitem(sys.modules, "davis2017", SimpleNamespace(metrics=public))
    monkeypatch.setitem(sys.modules, "davis2017.metrics", public)
    truth, predicted = (np.zeros((80, 100), np.uint8) for _ in range(2))
    square(truth, 1, 10, 10), square(truth, 2, 40, 50), square(predicted, 1, 12, 10), square(predicted, 2, 40, 60)
    found = official_frame_score()(truth, predicted, 2)
    np.testing.assert_array_equal(found, score_frame_plain(truth, predicted, 2))


def test_late_vanishing_and_unpredicted_objects(write, tmp_path):
    truth, predicted = blank(), blank()
    for index in range(FRAMES):
        square(truth[index], 1, 5, 5 + index)
        square(predicted[index], 1, 5, 5 + index)
        if index < 3:
            square(truth[index], 2, 50, 50)  # vanishes, and the prediction lets it go
            square(predicted[index], 2, 50, 50)
        square(truth[index], 3, 50, 5)  # never predicted
        if index > 2:
            square(truth[index], 4, 5, 70)  # appears late: ignored
    video = write(truth)
    write(predicted, "predicted")
    score = score_video(video, tmp_path / "predicted" / "clip")
    assert score.values.shape == (2, 3, FRAMES - 2)
    np.testing.assert_array_equal(score.values[:, 0], 1)
    np.testing.assert_array_equal(score.values[:, 1], 1)
    np.testing.assert_array_equal(score.values[:, 2], 0)
    predicted[3][0, 0] = 4
    write(predicted, "predicted")
    with pytest.raises(UserError, match=r"00003\.png holds the object id 4"):
        score_video(video, tmp_path / "predicted" / "clip")


def test_void_is_background(write, tmp_path):
    truth, predicted = blank(), blank()
    for index in range(FRAMES):
        square(truth[index], 1, 10, 10)
        truth[index][10:30, 30:40] = 255
        square(predicted[index], 1, 10, 10)
        predicted[index][10:30, 30:40] = 1
    score = score_video(write(truth), write(predicted, "predicted").masks[0].parent)
    assert score.values[0] == pytest.approx(np.full((1, 4), 20 / 30))


def test_an_id_between_others_that_the_first_frame_lacks_counts_and_is_said(write, tmp_path):
    masks = blank()
    for mask in masks:
        square(mask, 1, 5, 5)
        square(mask, 3, 50, 50)
    score = score_video(write(masks), write(masks, "predicted").masks[0].parent)
    assert score.values.shape[1] == 3
    assert "object 2" in score.warnings[0]


def test_more_than_256_frames(write, tmp_path):
    truth = [np.zeros((24, 24), np.uint8) for _ in range(300)]
    predicted = [mask.copy() for mask in truth]
    for index in range(300):
        square(truth[index], 1, 4, 4, side=12)
        square(predicted[index], 1, 4, 4, side=12 if index < 100 else 6)
    (score,) = score_videos([write(truth)], write(predicted, "predicted").masks[0].parent.parent)
    values = np.array([jaccard(a == 1, b == 1) for a, b in zip(truth[1:-1], predicted[1:-1])])
    np.testing.assert_array_equal(score.values[0, 0], values)
    mean, recall, decay = score.table()[0, :3] / 100
    assert (mean, recall, decay) == pytest.approx((values.mean(), (values > 0.5).mean(), 0.75))


def test_averages_are_over_objects(write):
    rng = np.random.default_rng(0)
    scores = [VideoScore(name, rng.random((2, objects, 9))) for name, objects in (("a", 1), ("b", 4))]
    found = global_scores(sums_over_objects(scores))
    objects = [score.values[:, number] for score in scores for number in range(score.values.shape[1])]
    for index, metric in enumerate("JF"):
        expect = 100 * np.mean([statistics(values[index]) for values in objects], axis=0)
        assert [found[metric], found[f"{metric}_recall"], found[f"{metric}_decay"]] == pytest.approx(list(expect))
    assert found["J&F"] == pytest.approx((found["J"] + found["F"]) / 2)


def test_real_void_frames(data_dir):
    folder = data_dir / "davis2017_void" / "Annotations/480p/tennis"
    if not folder.is_dir():
        pytest.skip(f"real masks with void absent: {folder}")
    first, second = sorted(folder.glob("*.png"))
    video = Video("tennis", (first, first, second, second), (), Image.open(first).size[::-1])
    with pytest.raises(UserError, match="object id 255"):  # the annotation itself holds void, which no prediction may
        score_video(video, folder)
    truth = np.asarray(Image.open(second))
    assert jaccard(truth == 1, truth == 1) == boundary_f(truth == 2, truth == 2) == 1


def test_a_process_that_may_use_one_core_starts_no_others(write, tmp_path, monkeypatch):
    """A batch system gives a job a few of a machine's cores; a process for each of all was started."""
    masks = blank()
    for mask in masks:
        square(mask, 1, 10, 10)
    video = write(masks)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0}, raising=False)
    monkeypatch.setattr("eval.propagation.scores.FRAMES_WORTH_PROCESSES", 0)
    monkeypatch.setattr("eval.propagation.scores.ProcessPoolExecutor", None)
    scores = list(score_videos([video, video], tmp_path / "truth"))
    assert [score.values.min() for score in scores] == [1, 1]
