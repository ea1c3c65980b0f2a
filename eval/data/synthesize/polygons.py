"""Masks as COCO writes them: polygons for objects, uncompressed run lengths for crowds."""

import cv2
import numpy as np


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Return polygons [x0, y0, x1, y1, ...] in pixels whose rasterization by COCO's tools is the mask again.

    Args:
        mask: (H, W) bool. Every separate part becomes a polygon of its own. COCO's polygons know no holes, so a part
            with a hole is cut in two through the hole.
    """
    doubled = np.repeat(np.repeat(mask.astype(np.uint8), 2, axis=0), 2, axis=1)
    contours, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    polygons = []
    for index, contour in enumerate(contours):
        _, _, child, parent = tree[0][index]
        if parent >= 0:
            continue
        if child < 0:
            # Doubled pixel k has its center at (k + 0.5) / 2: the outline runs a quarter pixel inside the true border,
            # so it holds the pixels' centers, which is what rasterizing asks for.
            polygons.append(((contour[:, 0] + 0.5) / 2).ravel().tolist())
            continue
        x, _, w, _ = cv2.boundingRect(contours[child])
        cut = (x + w // 2) // 2
        part = cv2.drawContours(np.zeros_like(doubled), contours, index, 1, cv2.FILLED)[::2, ::2].astype(bool) & mask
        for half in (slice(None, cut), slice(cut, None)):
            piece = np.zeros_like(part)
            piece[:, half] = part[:, half]
            polygons += mask_to_polygons(piece)
    return polygons


def mask_to_runs(mask: np.ndarray) -> dict[str, list[int]]:
    """Return (H, W) bool as COCO's uncompressed run lengths: down the columns, background first."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], edges, [mask.size]])) if edges.size else np.array([mask.size])
    if counts.size > 1 and counts[-1] == 0:
        counts = counts[:-1]
    return {"counts": counts.tolist(), "size": list(mask.shape)}


def mask_box(mask: np.ndarray) -> list[int]:
    """Return the mask's box [left, top, width, height] in whole pixels; the mask must not be empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
