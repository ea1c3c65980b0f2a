"""Boxes follow the image through resizing and cropping; tokens lie where the box is."""

import numpy as np
import pytest
from PIL import Image

from eval.knn.boxes import boxes_in_crop, largest_box, tokens_in_box
from eval.knn.features import load_image
from eval.knn.protocol import BBOX


def test_mapping_by_hand():
    # 1024 x 512 becomes 512 x 256; the crop begins at x = 144, y = 16.
    boxes = boxes_in_crop(np.array([(400, 100, 600, 300), (0, 0, 100, 512), (0, 0, 1024, 512)]), 1024, 512, BBOX)
    assert boxes.tolist() == [[56, 34, 156, 134], [0, 0, 0, 224], [0, 0, 224, 224]]
    assert largest_box(boxes[:2]) == 0
    assert largest_box(boxes) == 2
    assert largest_box(boxes[1:2]) is None  # outside of the crop
    assert largest_box(boxes[:0]) is None
    assert largest_box(np.array([(0, 0, 0.5, 224), (0, 0, 9, 9)])) == 1  # half a pixel of a box is none of it
    assert largest_box(np.array([(0, 0, 1, 224), (200, 200, 215, 214)])) == 0


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (260, 260), (640, 97)])
def test_mapped_boxes_frame_what_they_framed(size, tmp_path):
    width, height = size
    box = np.array([[0.4 * width, 0.3 * height, 0.6 * width, 0.7 * height]]).round()
    pixels = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box[0].astype(int)
    pixels[top:bottom, left:right] = 255
    Image.fromarray(pixels).save(tmp_path / "x.png")
    crop, (mapped,) = load_image(tmp_path / "x.png", box, BBOX)
    assert crop.shape == (224, 224, 3)
    rows, columns = np.nonzero(crop[..., 0] > 127)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.allclose(found, mapped, atol=1.01)


def test_tokens_are_at_the_centers_of_nine_cells():
    assert tokens_in_box(np.array([0, 0, 224, 224]), 16, BBOX).reshape(3, 3).tolist() == [
        [2 * 14 + 2, 2 * 14 + 7, 2 * 14 + 11],
        [7 * 14 + 2, 7 * 14 + 7, 7 * 14 + 11],
        [11 * 14 + 2, 11 * 14 + 7, 11 * 14 + 11],
    ]
    assert set(tokens_in_box(np.array([30, 40, 31, 41]), 8, BBOX)) == {5 * 28 + 3}  # smaller than a token
    assert tokens_in_box(np.array([223.5, 223.5, 224, 224]), 16, BBOX).max() == 14 * 14 - 1
