"""The bootstrap of AP over images: matches are made once, a resample only weighs each image by how often it is drawn."""

from itertools import product
from typing import Any

import numpy as np

from eval.detector.annotations import Annotations
from eval.metrics.coco import IOU_THRESHOLDS, RECALLS, Evaluation
from eval.metrics.matching import Candidates, assign

UNREACHED = 2**60  # more than can be found


class ApResampler:
    """COCO's AP (mean over ten thresholds, then categories) of images drawn with repeats.

    All curves (one a threshold and category) lie one behind the other in flat arrays, whatever their lengths.
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
        self._pair = detections.image * self._categories + category  # in the order of `_states`
        self._states = [assign(detections, counted, threshold) for threshold in IOU_THRESHOLDS]
        order = np.lexsort((-detections.score, category))  # stable: equal scores stay in the order of images
        self._image, category = detections.image[order], category[order]
        begin = np.searchsorted(category, np.arange(self._categories))  # of each category's detections
        rights, curves, ignored_at, ignored_before, ignored_begin, seen = [], [], [], [], [], 0
        for number, state in enumerate(state[order] for state in self._states):
            right, ignored = np.flatnonzero(state == 1), np.flatnonzero(state == -1)
            rights.append(right)
            curves.append(number * self._categories + category[right])
            ignored_at.append(ignored)
            ignored_before.append(seen + np.searchsorted(ignored, right))
            ignored_begin.append(seen + np.searchsorted(ignored, begin))
            seen += len(ignored)
        # One entry a right detection and threshold, curve by curve: the image, the place after it in its category's
        # ranking, the ignored detections before it, and the curve, a threshold's and category's.
        right_at, self._curve = np.concatenate(rights), np.concatenate(curves)
        self._right_image, self._after_right = self._image[right_at], right_at + 1
        self._ignored_before = np.concatenate(ignored_before)
        self._ignored_image = self._image[np.concatenate(ignored_at)]
        # One entry a curve: where its right, ignored and all its detections begin.
        edges = np.searchsorted(self._curve, np.arange(len(IOU_THRESHOLDS) * self._categories + 1))
        self._begin, self._end = edges[:-1], edges[1:]
        self._ignored_begin, self._ranking_begin = np.concatenate(ignored_begin), np.tile(begin, len(IOU_THRESHOLDS))
        # Lifts each curve above those behind it, so that one running maximum from the end serves all of them.
        self._lift = 2.0 * np.arange(len(self._begin))[::-1]
        self._lifted = self._lift[self._curve]

    def __call__(self, drawn: np.ndarray) -> float:
        """Return the AP in percent of drawn images (ints in 0..images-1, with repeats); NaN if no object was drawn."""
        times = np.bincount(drawn, minlength=self.images)
        objects = np.bincount(self._object_category, times[self._object_image], self._categories)
        if not objects.any():
            return np.nan
        if not len(self._curve):
            return 0.0
        ranked, ignored, right = (_running(times[of]) for of in (self._image, self._ignored_image, self._right_image))
        found = right[1:] - right[self._begin][self._curve]
        counted = ranked[self._after_right]
        counted -= ignored[self._ignored_before]
        counted -= (ranked[self._ranking_begin] - ignored[self._ignored_begin])[self._curve]
        precision = found / np.maximum(counted, 1, out=counted)
        precision += self._lifted
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        # Where each recall is reached, in the running sum over all curves.
        wanted = np.tile(_needed(objects), (len(IOU_THRESHOLDS), 1)) + right[self._begin][:, None]
        at = np.maximum(np.searchsorted(right[1:], wanted), self._begin[:, None])
        reached = at < self._end[:, None]
        values = precision[np.minimum(at, len(precision) - 1)] - self._lift[:, None]
        return 100.0 * float(values[reached].sum()) / (len(RECALLS) * len(IOU_THRESHOLDS) * np.count_nonzero(objects))

    def per_image(self) -> np.ndarray:
        """Return the AP in percent of each image alone, (images,): what drawing it alone gives, NaN where nothing is to find."""
        pairs, objects = np.unique(self._object_image * self._categories + self._object_category, return_counts=True)
        order = np.flatnonzero(np.isin(self._pair, pairs))  # others are of a category that the image does not hold
        order = order[np.argsort(self._pair[order], kind="stable")]  # by falling score within a pair, as they come
        place = np.searchsorted(pairs, self._pair[order])
        begin, lift = np.searchsorted(place, place), 2.0 * (len(pairs) - place)  # `lift` as in the constructor
        total = np.zeros(len(pairs))
        for state in (state[order] for state in self._states):
            at = np.flatnonzero(state == 1)
            right, judged = _running(state == 1), _running(state >= 0)
            found = right[at + 1] - right[begin[at]]
            precision = found / (judged[at + 1] - judged[begin[at]]) + lift[at]
            precision = np.maximum.accumulate(precision[::-1])[::-1] - lift[at]
            # How many of the 101 recalls are reached with this one and not before.
            levels = np.searchsorted(RECALLS, np.stack((found, found - 1)) / objects[place[at]], side="right")
            levels = levels[0] - np.where(found > 1, levels[1], 0)
            total += np.bincount(place[at], precision * levels, len(pairs))
        image, present = pairs // self._categories, np.bincount(pairs // self._categories, minlength=self.images)
        summed = np.bincount(image, 100.0 * total / (len(RECALLS) * len(IOU_THRESHOLDS)), self.images)
        return np.divide(summed, present, out=np.full(self.images, np.nan), where=present > 0)


def _running(values: np.ndarray) -> np.ndarray:
    """Return the sums of the first 0, 1, 2, ... values."""
    return np.concatenate([[0], np.cumsum(values)])


def _needed(objects: np.ndarray) -> np.ndarray:
    """Return how many of each category's `objects` must be found to reach each of the 101 `RECALLS`; (categories, 101).

    More than there are where there is none: nothing is reached then.
    """
    total = np.maximum(objects, 1)[:, None]
    needed = np.ceil(RECALLS * total)
    # The evaluators compare quotients, whose rounding may tip the balance.
    needed -= (needed - 1) / total >= RECALLS
    needed += needed / total < RECALLS
    return np.where(objects[:, None] > 0, needed, UNREACHED).astype(int)


def ap_resampler(
    truth: Annotations, detections: list[dict[str, Any]], evaluation: Evaluation
) -> tuple[int, ApResampler]:
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
        images, categories = np.array(pairs, int).reshape(-1, 2).T
        return images, categories

    annotations = [annotation for image in truth.images for annotation in truth.of_image.get(image["id"], ())]
    counted = np.array([not annotation.get("iscrowd", 0) for annotation in annotations], bool)
    object_image, object_category = numbered(annotations)
    image, category = numbered(detections)
    score = np.array([detection["score"] for detection in detections], float)

    order = np.lexsort((-score, category, image))
    pair = (image * len(labels) + category)[order]
    kept = np.arange(len(pair)) - np.searchsorted(pair, pair) < evaluation.max_detections
    order, pair = order[kept], pair[kept]
    object_order = np.argsort(object_image * len(labels) + object_category, kind="stable")
    object_pair = (object_image * len(labels) + object_category)[object_order]
    first, first_object = (np.searchsorted(p, np.arange(len(places) * len(labels))) for p in (pair, object_pair))
    found: list[tuple[np.ndarray, ...]] = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for number, key in enumerate(product(places, labels)):
        overlaps = np.asarray(evaluation.ious.get(key, ()))  # an empty list where nothing meets
        if len(overlaps):
            rows, columns = np.nonzero(overlaps >= IOU_THRESHOLDS[0])
            found.append((rows + first[number], columns + first_object[number], overlaps[rows, columns]))
    rows, columns, overlap = (np.concatenate(column) for column in zip(*found))
    # Of a crowd the evaluators give the share of the detection as its overlap.
    candidates = Candidates(image[order], score[order], rows, object_order[columns], overlap, overlap)
    resampler = ApResampler(len(places), (object_image, object_category), candidates, category[order], counted)
    return len(places), resampler
