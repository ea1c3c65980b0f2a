"""Region similarity J and boundary accuracy F of DAVIS by their plain definitions, and the statistics over frames.

Masks are (H, W). A *label map* is uint8 with the object id in each pixel, 0 = background; void is made background
before (docs/protocols.md, "DAVIS metrics"). `eval.metrics.packed_j_and_f` is the fast form of the same numbers.
"""

import math

import cv2
import numpy as np

BOUNDARY_TOLERANCE = 0.008  # of the image diagonal


def boundary_radius(height: int, width: int) -> int:
    """Return the tolerance of the boundary measure in pixels, ceil(0.008 x diagonal)."""
    return math.ceil(BOUNDARY_TOLERANCE * np.linalg.norm((height, width)))


def boundary_map(mask: np.ndarray) -> np.ndarray:
    """Return the one-pixel-wide boundary (H, W) bool of a bool mask.

    A pixel is boundary if it differs from its right, lower or lower right neighbor; past the last row and column the
    image goes on as it ends.
    """
    grown = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ grown[:-1, 1:]) | (mask ^ grown[1:, :-1]) | (mask ^ grown[1:, 1:])


def jaccard(truth: np.ndarray, prediction: np.ndarray, void: np.ndarray | None = None) -> float:
    """Return intersection over union of two bool masks; 1 if both are empty. Pixels in `void` (bool) do not count."""
    valid = True if void is None else ~void
    union = np.count_nonzero((truth | prediction) & valid)
    return np.count_nonzero(truth & prediction & valid) / union if union else 1.0


def boundary_f(truth: np.ndarray, prediction: np.ndarray, void: np.ndarray | None = None) -> float:
    """Return the boundary F-measure of two bool masks: boundary pixels match within `boundary_radius` (a disk).

    Pixels in `void` (bool) are set to background in both masks first. This is the plain definition.
    """
    if void is not None:
        truth, prediction = truth & ~void, prediction & ~void
    radius = boundary_radius(*truth.shape)
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x * x + y * y <= radius * radius).astype(np.uint8)
    edges = [boundary_map(mask) for mask in (truth, prediction)]
    near = [cv2.dilate(edge.astype(np.uint8), disk) > 0 for edge in edges]
    return f_measure(
        truth_length=np.count_nonzero(edges[0]),
        prediction_length=np.count_nonzero(edges[1]),
        truth_matched=np.count_nonzero(edges[0] & near[1]),
        prediction_matched=np.count_nonzero(edges[1] & near[0]),
    )


def f_measure(truth_length: int, prediction_length: int, truth_matched: int, prediction_matched: int) -> float:
    """Harmonic mean of precision and recall, from pixel counts of both boundaries.

    Two masks without a boundary agree (1); if only one has a boundary they disagree (0).
    """
    if not truth_length or not prediction_length:
        return float(truth_length == prediction_length)
    precision, recall = prediction_matched / prediction_length, truth_matched / truth_length
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def score_frame_plain(truth: np.ndarray, prediction: np.ndarray, objects: int) -> np.ndarray:
    """Return J and F (2, objects) of the ids 1..objects in two label maps, by the plain definitions."""
    pairs = [(truth == number, prediction == number) for number in range(1, objects + 1)]
    return np.array([[jaccard(*pair) for pair in pairs], [boundary_f(*pair) for pair in pairs]])


def statistics(values: np.ndarray) -> tuple[float, float, float]:
    """Return mean, recall (share above 0.5) and decay of one object's values over the frames (frames,).

    Decay is the mean of the first quarter of the frames minus that of the last one; neighboring quarters share a
    frame. The public tool's frame numbers wrap at 256, which is wrong for longer videos and not repeated here.
    """
    # The tiny offset makes halves round up: numpy would round them to the even number.
    bounds = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(np.int64)
    first, last = values[bounds[0] : bounds[1] + 1], values[bounds[3] : bounds[4] + 1]
    return float(values.mean()), float((values > 0.5).mean()), float(first.mean() - last.mean())
