"""Which frames of which objects count, and how they are averaged, against plain sums."""

import numpy as np
import pytest

from eval.metrics.j_and_f import boundary_f, jaccard
from eval.propagation.masks import write_mask
from eval.ytvos.data import Object, Video
from eval.ytvos.scoring import ObjectScore, VideoScore, means_of, score_video, score_videos

FRAMES = 6


def clip(folder, objects, listed=tuple(range(FRAMES)), shift=0):
    """Squares: object n is there from its first frame on, but in frame 4 not; `shift` moves it in frames after its first."""
    masks = []
    for index in range(FRAMES):
        mask = np.zeros((60, 90), np.uint8)
        for one in objects:
            if one.first <= index != 4:
                left = 10 * one.number + (shift if index > one.first else 0)
                mask[5 * one.number : 5 * one.number + 12, left : left + 8] = one.number
        masks.append(folder / "clip" / f"{index:05d}.png")
        write_mask(masks[-1], mask, list(range(256)) * 3)
    return Video("clip", (), tuple(masks), (60, 90), tuple(objects), listed)


OBJECTS = [Object(1, "disc", 0), Object(3, "leaf", 2), Object(4, "disc", FRAMES - 1)]


@pytest.mark.parametrize("listed", [(0, 1, 2, 3, 4, 5), (0, 2, 4, 5)], ids=str)
def test_each_object_counts_in_listed_frames_after_its_first(listed, tmp_path):
    truth, found = (clip(tmp_path / name, OBJECTS, listed, shift) for name, shift in (("truth", 0), ("found", 3)))
    score = score_video(truth, tmp_path / "found/clip")
    assert [one.object for one in score.objects] == OBJECTS
    for one in score.objects:
        frames = [index for index in listed if index > one.object.first]
        assert one.frames == len(frames)
        pairs = [(truth.read_truth(i) == one.object.number, found.read_truth(i) == one.object.number) for i in frames]
        if pairs:
            assert one.j == pytest.approx(100 * np.mean([jaccard(*pair) for pair in pairs]))
            assert one.f == pytest.approx(100 * np.mean([boundary_f(*pair) for pair in pairs]))
    assert np.isnan(score.objects[2].j)  # it appears in the last frame
    assert score.objects[0].j < 100


def test_means_are_over_objects_of_seen_and_of_unseen_categories():
    a, b, c = (Object(number, category, 0) for number, category in ((1, "disc"), (2, "leaf"), (3, "disc")))
    scores = [
        VideoScore("x", (ObjectScore(a, 10, 20, 5), ObjectScore(b, 30, 50, 1))),
        VideoScore("y", (ObjectScore(c, 40, 80, 2), ObjectScore(b, np.nan, np.nan, 0), ObjectScore(a, 70, 20, 9))),
    ]
    rows = np.stack([score.row({"disc"}) for score in scores])
    assert means_of(rows) == pytest.approx({"J_seen": 40, "F_seen": 40, "J_unseen": 30, "F_unseen": 50, "G": 40})
    seen = means_of(rows[1:])
    assert (seen["J_seen"], seen["F_seen"], seen["G"]) == (55, 50, 52.5)
    assert np.isnan([seen["J_unseen"], seen["F_unseen"]]).all()
    assert np.isnan(means_of(np.zeros((1, 6)))["G"])


def test_videos_come_in_order(tmp_path):
    videos = [clip(tmp_path / "truth", OBJECTS)] * 2
    assert [score.name for score in score_videos(videos, tmp_path / "truth")] == ["clip", "clip"]
