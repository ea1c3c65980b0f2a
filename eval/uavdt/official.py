"""Protocol `uavdt/official@1`: the benchmark's toolkit, vehicles pooled, AP at IoU 0.7 (docs/protocols.md, "UAVDT")."""

from dataclasses import dataclass

import numpy as np

from eval.metrics.matching import Candidates, assign, edges, find_candidates, touching_pairs
from eval.uavdt.files import SequenceDetections, SequenceTruth
from eval.uavdt.sequences import WITHOUT_IGNORE

IOU_THRESHOLD = 0.7


@dataclass(frozen=True)
class SequenceScore:
    """The matched detections of one sequence, ready for any pool of sequences and any group of boxes."""

    truth: SequenceTruth
    candidates: Candidates
    dropped: int  # detections strictly inside an ignore box
    found: int  # boxes with a detection
    state: np.ndarray  # (detections,) 1 right, 0 wrong, in the toolkit's order


@dataclass(frozen=True)
class Curve:
    """Precision against recall, one point a detection by falling score, and the area under its envelope in percent."""

    recall: np.ndarray
    precision: np.ndarray
    average_precision: float


def score_sequence(truth: SequenceTruth, detections: SequenceDetections) -> SequenceScore:
    """Drop the detections inside ignore boxes, then match the others frame by frame."""
    keep = np.ones(len(detections.frame), bool)
    if truth.name not in WITHOUT_IGNORE:
        keep = outside_ignore(truth, detections)
    d = detections
    candidates = find_candidates(truth.frame, truth.box, d.frame[keep], d.box[keep], d.score[keep], IOU_THRESHOLD)
    state = assign(candidates, np.ones(len(truth.frame), bool), IOU_THRESHOLD)
    return SequenceScore(truth, candidates, int((~keep).sum()), int((state == 1).sum()), state)


def outside_ignore(truth: SequenceTruth, detections: SequenceDetections) -> np.ndarray:
    """Return a boolean array: False where a detection lies strictly inside one ignore box of its frame."""
    keep = np.ones(len(detections.frame), bool)
    found, regions = edges(detections.box), edges(truth.ignore_box)
    for d, g in touching_pairs(detections.frame, found, truth.ignore_frame, regions):
        box, region = found[d], regions[g]
        inside = (box[:, :2] > region[:, :2]).all(axis=1) & (box[:, 2:] < region[:, 2:]).all(axis=1)
        keep[d[inside]] = False
    return keep


def pool(scores: list[SequenceScore]) -> Curve:
    """Return the curve of several sequences together, in the given order (it decides between equal scores)."""
    score = np.concatenate([s.candidates.score for s in scores])
    state = np.concatenate([s.state for s in scores])
    return precision_recall(score, state, sum(len(s.truth.frame) for s in scores))


def precision_recall(score: np.ndarray, state: np.ndarray, boxes: int) -> Curve:
    """Return the precision-recall curve and its area.

    Args:
        score: (detections,) in the toolkit's order; equal scores stay in it.
        state: (detections,) 1 right, 0 wrong, -1 ignored.
        boxes: number of ground-truth boxes. With none, recall and AP are 0, as in the toolkit.
    """
    ranked = state[np.argsort(-score, kind="stable")]
    right, wrong = np.cumsum(ranked == 1), np.cumsum(ranked == 0)
    recall = right / max(1, boxes)
    precision = right / np.maximum(1, right + wrong)
    return Curve(recall, precision, 100.0 * area_under_envelope(recall, precision))


def area_under_envelope(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area under the all-point interpolated curve (VOC 2010 and later): precision is the best at that recall or more."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


class FrameResampler:
    """AP of resampled frames, for the bootstrap over images: sorts once, then weighs each frame by how often it is drawn."""

    def __init__(self, scores: list[SequenceScore]) -> None:
        offsets = np.cumsum([0, *(s.truth.length for s in scores)])
        self.frames = int(offsets[-1])
        score = np.concatenate([s.candidates.score for s in scores])
        order = np.argsort(-score, kind="stable")
        right = np.concatenate([s.state for s in scores])[order] == 1
        frame = np.concatenate([s.candidates.image - 1 + at for s, at in zip(scores, offsets)])[order]
        # Precision peaks where a detection is right; whatever follows the last one changes nothing.
        self._right_at = np.flatnonzero(right)
        self._frame = frame[: self._right_at[-1] + 1] if len(self._right_at) else frame[:0]
        self._boxes = np.concatenate([np.bincount(s.truth.frame - 1, minlength=s.truth.length) for s in scores])

    def average_precision(self, frames: np.ndarray) -> float:
        """Return the AP in percent of the drawn `frames` (ints in 0..self.frames-1, with repeats), NaN without a box."""
        drawn = np.bincount(frames, minlength=self.frames)
        boxes = int(drawn @ self._boxes)
        if not boxes:
            return np.nan
        weight = drawn[self._frame]
        right = np.cumsum(weight[self._right_at])
        ranked = np.cumsum(weight)[self._right_at]
        recall, precision = right / boxes, right / np.maximum(1, ranked)
        return 100.0 * area_under_envelope(recall, precision)
