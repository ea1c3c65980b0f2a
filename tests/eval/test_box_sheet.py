"""Sheets of pictures with boxes: what counts as found, which pictures are shown, and how large they are."""

import numpy as np
import pytest
from PIL import Image

from eval.box_sheet import Box, Picture, choose, found_share, write_sheet

TRUTH = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], dtype=float)


@pytest.mark.parametrize(
    ("found", "share"),
    [
        ([[0, 0, 10, 10], [21, 21, 41, 41]], 1.0),
        ([[0, 0, 10, 5]], 0.5),  # an overlap of exactly a half
        ([[0, 0, 10, 4.9]], 0.0),
        ([[100, 100, 110, 110]], 0.0),
        ([], 0.0),
    ],
)
def test_an_object_is_found_from_an_overlap_of_a_half(found, share):
    assert found_share(TRUTH, np.array(found, dtype=float).reshape(-1, 4)) == share


def picture(score, shape=(60, 90, 3)):
    box = Box((-5, 10, 30, 40), (255, 0, 0), "a rather long label 0.99")
    return Picture(
        np.full(shape, 200, np.uint8), [box, Box((0, 0, 20, 20), (0, 0, 255), veiled=True)], f"{score}", score
    )


def test_the_worst_come_first_and_the_best_at_the_end():
    scores = [score / 10 for score in (5, 1, 9, 3, 7, 2, 8, 4, 6)]
    assert [shown.score for shown in choose([picture(score) for score in scores])] == [0.1, 0.2, 0.3, 0.4, 0.8, 0.9]
    assert [shown.score for shown in choose([picture(score) for score in scores[:3]])] == [0.1, 0.5, 0.9]


def test_pictures_of_any_size_stand_side_by_side(tmp_path):
    pictures = [picture(0.1), picture(0.2, (300, 200, 3)), picture(0.3, (20, 400, 3))]
    write_sheet(tmp_path / "sheet.png", pictures, "title", {"ground truth": (0, 255, 0)})
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.width, sheet.height > 840 + 28) == (2 * 560 + 24, True)
        colors = {color for _, color in sheet.convert("RGB").getcolors(1 << 24)}
    assert {(255, 0, 0), (0, 255, 0), (200, 200, 200)} <= colors
