"""A mask as COCO's compressed run lengths, several times faster than encoding the whole image."""

from typing import Any

import cv2
import numpy as np
from pycocotools import mask as rle


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """Return the code of a mask (H, W) bool as JSON can hold it, {"size": [H, W], "counts": text}.

    The same as `encode_mask_plainly`; only the part of the image that the mask reaches is looked at.
    """
    height, width = mask.shape
    left, top, columns, rows = cv2.boundingRect(mask.view(np.uint8))
    # Run lengths go down the columns. An empty row below each keeps its last run apart from the next column's first.
    part = np.zeros((columns, rows + 1), bool)
    part[:, :rows] = mask[top : top + rows, left : left + columns].T
    column, row = np.divmod(np.flatnonzero(np.diff(part.ravel(), prepend=False)), rows + 1)
    changes = (left + column) * height + top + row
    if rows == height:
        # Nothing lies between the last pixel of a column and the first of the next.
        joined = np.flatnonzero(changes[1:] == changes[:-1])
        changes = np.delete(changes, np.concatenate([joined, joined + 1]))
    counts = np.diff(changes, prepend=0, append=height * width)
    if counts[-1] == 0:
        counts = counts[:-1]
    return _as_text(rle.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width))


def encode_mask_plainly(mask: np.ndarray) -> dict[str, Any]:
    """Return the code of a mask (H, W) bool by pycocotools alone: the reference of `encode_mask`."""
    return _as_text(rle.encode(np.asfortranarray(mask, dtype=np.uint8)))


def _as_text(code: dict[str, Any]) -> dict[str, Any]:
    return {"size": code["size"], "counts": code["counts"].decode()}
