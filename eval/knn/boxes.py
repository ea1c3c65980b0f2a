"""Where the boxes of an image lie after resizing and cropping, and which tokens are inside."""

import numpy as np

from eval.knn.protocol import Protocol


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Return (width, height) in pixels after the short side was scaled to `short_side`, aspect ratio kept."""
    scale = short_side / min(width, height)
    return max(short_side, round(width * scale)), max(short_side, round(height * scale))


def boxes_in_crop(boxes: np.ndarray, width: int, height: int, protocol: Protocol) -> np.ndarray:
    """Map boxes of an image into the crop that is encoded.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels of the original image.
        width: of the original image.
        height: of the original image.
        protocol: resize and crop.

    Returns:
        (n, 4) left, top, right, bottom in pixels of the crop, cut at its edges; a box outside of it has no area.
    """
    new_width, new_height = resized_size(width, height, protocol.resize)
    left, top = crop_corner(new_width, new_height, protocol.crop)
    scale = np.array([new_width / width, new_height / height] * 2)
    return np.clip(np.asarray(boxes, float) * scale - [left, top, left, top], 0, protocol.crop)


def crop_corner(width: int, height: int, crop: int) -> tuple[int, int]:
    """Return the left and top of the middle crop of a resized image."""
    return (width - crop) // 2, (height - crop) // 2


def largest_box(boxes: np.ndarray) -> int | None:
    """Return the index of the box (n, 4: left, top, right, bottom) with the largest area; None if none has a pixel."""
    if not len(boxes):
        return None
    sides = boxes[:, 2:] - boxes[:, :2]
    area = sides.prod(axis=1) * (sides >= 1).all(axis=1)
    return int(area.argmax()) if area.max() > 0 else None


def tokens_in_box(box: np.ndarray, patch: int, protocol: Protocol) -> np.ndarray:
    """Return the (grid^2,) raster indices of the tokens at the centers of a box's grid cells, row by row.

    Args:
        box: (4,) left, top, right, bottom in pixels of the crop.
        patch: side of a token in pixels.
        protocol: crop and grid.
    """
    side = protocol.crop // patch
    share = (np.arange(protocol.grid) + 0.5) / protocol.grid
    columns = ((box[0] + share * (box[2] - box[0])) // patch).astype(int).clip(0, side - 1)
    rows = ((box[1] + share * (box[3] - box[1])) // patch).astype(int).clip(0, side - 1)
    return (rows[:, None] * side + columns[None]).ravel()
