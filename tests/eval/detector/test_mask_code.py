"""The fast code of a mask is the plain one, to the letter."""

import numpy as np
import pytest
from pycocotools import mask as rle

from eval.detector.mask_code import encode_mask, encode_mask_plainly


def shapes():
    """Masks by name: none, all, single pixels at corners, whole columns and rows, and random ones."""
    none = np.zeros((7, 5), bool)
    yield "none", none
    yield "all", ~none
    for name, place in (("first", (0, 0)), ("last", (6, 4)), ("lower left", (6, 0)), ("upper right", (0, 4))):
        mask = none.copy()
        mask[place] = True
        yield name, mask
    for name, rows, columns in (
        ("columns", slice(None), slice(1, 3)),
        ("last column", slice(None), 4),
        ("row", 3, slice(None)),
        ("both edges", [0, 6], slice(1, 4)),
    ):
        mask = none.copy()
        mask[rows, columns] = True
        yield name, mask
    rng = np.random.default_rng(0)
    for number in range(40):
        height, width = rng.integers(1, 40, 2)
        yield f"random {number}", rng.random((height, width)) < rng.choice([0.02, 0.5, 0.98])


@pytest.mark.parametrize(("name", "mask"), shapes(), ids=lambda value: value if isinstance(value, str) else "")
def test_code_equals_the_plain_one(name, mask):
    code = encode_mask(mask)
    assert code == encode_mask_plainly(mask)
    np.testing.assert_array_equal(rle.decode(code), mask)


def test_a_view_into_a_stack_of_masks_is_encoded_too():
    stack = np.random.default_rng(1).random((3, 20, 30)) < 0.5
    assert [encode_mask(mask) for mask in stack] == [encode_mask_plainly(mask) for mask in stack]
    assert encode_mask(stack[0, ::2, ::2]) == encode_mask_plainly(stack[0, ::2, ::2])
