"""The bootstrap of AP over images: matches are made once, a resample only weighs each image by how often it is drawn."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from eval.coco.metrics import IOU_THRESHOLDS, MAX_DETECTIONS, RECALLS, Evaluation
from eval.detector.annotations import Annotations
from eval.detector.matching import Candidates, assign


class ApResampler:
    """COCO's AP (mean over ten thresholds, then categories) of images drawn with repeats.

    All curves (one a threshold and category) lie one after the other in flat arrays, whatever their lengths.
    """

    def __init__(
        self,
        images: int,
        objects: tuple[np.ndarray, np.ndarray],
        detections: Candidates,
        category: np.ndarray,
        counted: np.ndarray,
    ):
        """Match once.

        Args:
            images: number of images.
            objects: image and category of each object, (objects,) int each, 0-based.
            detections: with their pairs of the same category; `image` is 0-based.
            category: (detections,) int, 0-based.
            counted: (objects,) bool, False for crowds.
        """
        self.images, self._categories = images, 1 + max(int(c.max(initial=0)) for c in (category, objects[1]))
        self._object_image, self._object_category = (column[counted] for column in objects)
        order = np.lexsort((-detections.score, category))  # stable: equal scores stay in the order of images
        self._image, category = detections.image[order], category[order]
        begin = np.searchsorted(category, np.arange(self._categories))  # of each category's detections
        columns = []
        ignored_at, seen = [], 0
        for number, threshold in enumerate(IOU_THRESHOLDS):
            state = assign(detections, counted, threshold)[order]
            right, ignored = np.flatnonzero(state == 1), np.flatnonzero(state == -1)
            ignored_before = seen + np.searchsorted(ignored, right)
            ignored_begin = seen + np.searchsorted(ignored, begin)[category[right]]
            curve = number * self._categories + category[right]
            columns.append((right, curve, begin[category[right]], ignored_before, ignored_begin))
            ignored_at.append(ignored)
            seen += len(ignored)
        self._ignored_at = np.concatenate(ignored_at)
        # One entry a right detection and threshold: its place in the ranking, its curve, the begin of its category's
        # ranking, and the same two places among the ignored detections.
        right_at, curve, self._begin, self._ignored_before, self._ignored_begin = map(np.concatenate, zip(*columns))
        self._right_at, self._after_right = right_at, right_at + 1
        self._curve_category = curve % self._categories
        self._curve_begin = np.searchsorted(curve, curve)
        self._is_first = self._curve_begin == np.arange(len(curve))
        # Lifts each curve above those behind it, so that one running maximum from the end serves all of them.
        self._lift = 2.0 * (curve[-1:] - curve)

    def __call__(self, drawn: np.ndarray) -> float:
        """Return the AP in percent of drawn images (ints in 0..images-1, with repeats); NaN if no object was drawn."""
        times = np.bincount(drawn, minlength=self.images)
        objects = np.bincount(self._object_category, times[self._object_image], self._categories)
        if not objects.any():
            return np.nan
        weight = times[self._image]
        ranked, right = _running(weight), _running(weight[self._right_at])
        found = right[1:] - right[self._curve_begin]
        counted = ranked[self._after_right] - ranked[self._begin]
        if len(self._ignored_at):
            ignored = _running(weight[self._ignored_at])
            counted -= ignored[self._ignored_before] - ignored[self._ignored_begin]
        precision = np.maximum.accumulate((found / np.maximum(counted, 1) + self._lift)[::-1])[::-1] - self._lift
        levels = _levels(found / np.maximum(objects, 1)[self._curve_category])
        gained = np.diff(levels, prepend=0)
        gained[self._is_first] = levels[self._is_first]
        return 100.0 * float(precision @ gained) / (len(RECALLS) * len(IOU_THRESHOLDS) * np.count_nonzero(objects))


def _running(values: np.ndarray) -> np.ndarray:
    """Return the sums of the first 0, 1, 2, ... values."""
    return np.concatenate([[0], np.cumsum(values)])


def _levels(recall: np.ndarray) -> np.ndarray:
    """Return how many of the 101 `RECALLS` are reached; the same as a binary search in them, but faster."""
    levels = (recall * (len(RECALLS) - 1)).astype(int)  # at most one off, by rounding
    levels += recall >= RECALLS[levels]
    return levels + (recall >= np.append(RECALLS, 2.0)[levels])


def ap_resampler(
    truth: Annotations, detections: list[dict[str, Any]], evaluation: Evaluation
) -> tuple[int, Callable[[np.ndarray], float]]:
    """Prepare the bootstrap of an evaluation's AP.

    Args:
        truth: what `evaluate` was given.
        detections: likewise.
        evaluation: its result, for the overlaps.

    Returns:
        The number of images n, and a function that maps drawn images (ints in 0..n-1, with repeats) to AP in percent
        (NaN if no object was drawn). Drawing each image once gives the evaluation's AP.
    """
    places = {image["id"]: index for index, image in enumerate(truth.images)}
    labels = {category: index for index, category in enumerate(truth.category_ids)}

    def numbered(entries: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Return image and category of each entry, 0-based."""
        pairs = [(places[entry["image_id"]], labels[entry["category_id"]]) for entry in entries]
        return tuple(np.array(pairs, int).reshape(-1, 2).T)

    annotations = [annotation for image in truth.images for annotation in truth.of_image.get(image["id"], ())]
    counted = np.array([not annotation.get("iscrowd", 0) for annotation in annotations], bool)
    object_image, object_category = numbered(annotations)
    image, category = numbered(detections)
    score = np.array([detection["score"] for detection in detections], float)

    order = np.lexsort((-score, category, image))
    pair = (image * len(labels) + category)[order]
    kept = np.arange(len(pair)) - np.searchsorted(pair, pair) < MAX_DETECTIONS
    order, pair = order[kept], pair[kept]
    object_order = np.argsort(object_image * len(labels) + object_category, kind="stable")
    object_pair = (object_image * len(labels) + object_category)[object_order]
    first, first_object = (np.searchsorted(p, np.arange(len(places) * len(labels))) for p in (pair, object_pair))
    found = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for number, key in enumerate(product(places, labels)):
        overlaps = evaluation.ious.get(key, ())
        if len(overlaps):
            rows, columns = np.nonzero(np.asarray(overlaps) >= IOU_THRESHOLDS[0])
            found.append((rows + first[number], columns + first_object[number], overlaps[rows, columns]))
    rows, columns, overlap = (np.concatenate(column) for column in zip(*found))
    # Of a crowd the evaluators give the share of the detection as its overlap.
    candidates = Candidates(image[order], score[order], rows, object_order[columns], overlap, overlap)
    resampler = ApResampler(len(places), (object_image, object_category), candidates, category[order], counted)
    return len(places), resampler
