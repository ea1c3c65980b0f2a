"""J and F of whole label maps, fast: 64 pixels a word, the same numbers as `eval.metrics.j_and_f.score_frame_plain`.

Packed maps are uint64 (words, maps, H): pixel (y, x) is bit x % 64 of word x // 64 in row y. Words come first so that
every operation runs over long contiguous rows of memory.
"""

import math

import cv2
import numpy as np

from eval.metrics.j_and_f import boundary_radius, f_measure


def score_frame(truth: np.ndarray, prediction: np.ndarray, objects: int) -> np.ndarray:
    """Return J and F (2, objects) float64 of the ids 1..objects in two label maps (H, W) uint8."""
    radius = boundary_radius(*truth.shape)
    # The boundary lies up to one pixel above and to the left of a mask; on the other sides, too, one pixel of background
    # has to follow, or the border of the image.
    x, y, width, height = cv2.boundingRect(truth | prediction)
    box = slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1)
    labels = np.stack([truth[box], prediction[box]])
    scores = np.empty((2, objects))
    for index in range(objects):
        masks = pack(labels == index + 1)
        sizes, (intersection,) = _count(masks), _count(masks[:, :1] & masks[:, 1:])
        union = sizes[0] + sizes[1] - intersection
        scores[0, index] = intersection / union if union else 1.0
        edges = boundary_maps(masks, labels.shape[2])
        scores[1, index] = f_measure(*_count(edges), *_matched_lengths(edges, radius))
    return scores


def pack(maps: np.ndarray) -> np.ndarray:
    """Pack bool maps (maps, H, W) to uint64 (words, maps, H); bits past the width are 0."""
    count, height, width = maps.shape
    packed = np.zeros((count, height, math.ceil(width / 64) * 8), dtype=np.uint8)
    packed[..., : math.ceil(width / 8)] = np.packbits(maps, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed.view("<u8").transpose(2, 0, 1))


def boundary_maps(masks: np.ndarray, width: int) -> np.ndarray:
    """Return the packed form of `j_and_f.boundary_map` for packed masks of images that are `width` pixels wide."""
    right = _shift_left(masks, 1)
    right[-1] |= masks[-1] & np.uint64(1 << (width - 1) % 64)  # the image goes on as it ends
    return (masks ^ right) | (masks ^ _next_row(masks)) | (masks ^ _next_row(right))


def _next_row(masks: np.ndarray) -> np.ndarray:
    return np.concatenate([masks[..., 1:], masks[..., -1:]], axis=-1)


def _matched_lengths(edges: np.ndarray, radius: int) -> list[int]:
    """Count the pixels of each of two packed boundary maps that lie within `radius` of the other map's."""
    # A matched pixel and the pixel that it matches lie in both maps' bounding boxes grown by the radius. The boxes are
    # exact in rows and rounded to words in columns.
    rows = _meeting(np.bitwise_or.reduce(edges, axis=0), radius)
    words = _meeting(np.bitwise_or.reduce(edges, axis=2).T, math.ceil(radius / 64))
    near = edges[words, :, rows]
    if near.size == 0:
        return [0, 0]
    return _count(near & dilate(near, radius)[:, ::-1])


def _meeting(occupied: np.ndarray, margin: int) -> slice:
    """Where the occupied stretches (2, length) of two maps, each grown by `margin`, overlap."""
    ends = [np.flatnonzero(line)[[0, -1]] if line.any() else (0, -1 - 2 * margin) for line in occupied]
    start = max(0, *(int(first) - margin for first, _ in ends))
    return slice(start, max(start, min(int(last) + margin + 1 for _, last in ends)))


def dilate(packed: np.ndarray, radius: int) -> np.ndarray:
    """Dilate packed maps by the disk x^2 + y^2 <= radius^2; bits past the width become undefined.

    The disk is a stack of horizontal runs. From its top row to the middle the runs only grow, so each is made from the
    one before, and its result is moved up and down.
    """
    height = packed.shape[-1]
    # Rows of zeros after each map let a vertical move be one move of the whole array in memory.
    run = np.zeros((*packed.shape[:-1], height + radius), dtype=packed.dtype)
    run[..., :height] = packed
    result = np.zeros(run.size, dtype=packed.dtype)
    half_width = 0
    for distance in range(radius, -1, -1):
        target = math.isqrt(radius * radius - distance * distance)
        while half_width < target:
            # A run of 2 h + 1 pixels moved by at most 2 h + 1 to both sides leaves no hole.
            step = min(target - half_width, 2 * half_width + 1, 63)
            run = run | _shift_right(run, step) | _shift_left(run, step)
            half_width += step
        pixels = run.reshape(-1)
        result[distance:] |= pixels[: pixels.size - distance]
        result[: pixels.size - distance] |= pixels[distance:]
    return result.reshape(run.shape)[..., :height]


def _shift_right(packed: np.ndarray, step: int) -> np.ndarray:
    """Move all pixels `step` (1..63) to larger x."""
    moved = packed << np.uint64(step)
    moved[1:] |= packed[:-1] >> np.uint64(64 - step)
    return moved


def _shift_left(packed: np.ndarray, step: int) -> np.ndarray:
    """Move all pixels `step` (1..63) to smaller x."""
    moved = packed >> np.uint64(step)
    moved[:-1] |= packed[1:] << np.uint64(64 - step)
    return moved


def _count(packed: np.ndarray) -> list[int]:
    """Number of set pixels of each map."""
    return np.bitwise_count(packed).sum(axis=(0, 2), dtype=np.int64).tolist()
