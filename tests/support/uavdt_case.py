"""UAVDT sequences and detections in memory, by hand or at random."""

import numpy as np

from eval.uavdt.files import SequenceDetections, SequenceTruth


def truth_of(name, length, boxes=(), ignore=()):
    """A sequence from rows (frame, left, top, width, height[, out-of-view, occlusion, category])."""
    rows = [(*row, 1, 1, 1)[:8] for row in boxes]
    table = np.array(rows, float).reshape(-1, 8)
    regions = np.array(ignore, float).reshape(-1, 5)
    frame, out_of_view, occlusion, category = table[:, [0, 5, 6, 7]].T.astype(int)
    target = np.arange(len(table))
    region_frame = regions[:, 0].astype(int)
    box = table[:, 1:5]
    return SequenceTruth(
        name, length, frame, box, target, out_of_view, occlusion, category, region_frame, regions[:, 1:]
    )


def detections_of(name, rows=()):
    """Detections from rows (frame, left, top, width, height, score[, category])."""
    table = np.array([(*row, -1)[:7] for row in rows], float).reshape(-1, 7)
    return SequenceDetections(name, table[:, 0].astype(int), table[:, 1:5], table[:, 5], table[:, 6].astype(int))


def random_case(seed, name="M0203", length=12, ties=False):
    """Crowded random boxes, jittered and stray detections, ignore regions; frames without boxes, without detections."""
    rng = np.random.default_rng(seed)
    boxes, found, regions = [], [], []
    for frame in range(1, length + 1):
        if rng.random() < 0.2:
            continue
        count = rng.integers(1, 9)
        corner = np.c_[rng.integers(0, 120, count), rng.integers(0, 60, count)]
        size = rng.integers(10, 50, (count, 2))
        kind = np.c_[rng.integers(1, 4, count), rng.integers(1, 5, count), rng.integers(1, 4, count)]
        boxes += [(frame, *row) for row in np.c_[corner, size, kind].tolist()]
        regions += [(frame, *rng.integers(0, 80, 2), *rng.integers(20, 90, 2)) for _ in range(rng.integers(0, 3))]
        if rng.random() < 0.2:
            continue
        for row in np.repeat(np.c_[corner, size], rng.integers(0, 5, count), axis=0):
            # Whole and half pixels make equal overlaps and touching edges likely.
            box = row + rng.integers(-8, 9, 4) / 2
            box[2:] = np.maximum(box[2:], 1)
            score = rng.integers(1, 6) / 5 if ties else rng.random()
            found.append((frame, *box, score, rng.integers(1, 4)))
    found += [(rng.integers(1, length + 1), *rng.integers(0, 99, 2), 20, 20, rng.random(), 1) for _ in range(6)]
    order = rng.permutation(len(found))  # files need not be sorted by frame
    return truth_of(name, length, boxes, regions), detections_of(name, [found[i] for i in order])
