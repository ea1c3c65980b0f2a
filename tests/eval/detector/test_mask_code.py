"""The fast code of a mask is the plain one, to the letter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from eval.detector.mask_code import encode_mask, pixels_of_codes


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


def encode_mask_plainly(mask):
    code = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return code | {"counts": code["counts"].decode()}


@pytest.mark.parametrize(("name", "mask"), shapes(), ids=lambda value: value if isinstance(value, str) else "")
def test_code_equals_the_plain_one(name, mask):
    code = encode_mask(mask)
    assert code == encode_mask_plainly(mask)
    np.testing.assert_array_equal(rle.decode(code), mask)


def test_a_view_into_a_stack_of_masks_is_encoded_too():
    stack = np.random.default_rng(1).random((3, 20, 30)) < 0.5
    assert [encode_mask(mask) for mask in stack] == [encode_mask_plainly(mask) for mask in stack]
    assert encode_mask(stack[0, ::2, ::2]) == encode_mask_plainly(stack[0, ::2, ::2])


def pixels_plainly(code):
    """Read one code symbol by symbol; the pixels of all runs, -1 where it is none."""
    runs, number, place = [], 0, 0
    for symbol in (ord(letter) - 48 for letter in code):
        if not 0 <= symbol < 64 or place > 6:
            return -1
        number |= (symbol & 31) << 5 * place
        place += 1
        if not symbol & 32:
            number -= (1 << 5 * place) if symbol & 16 else 0
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number, place = 0, 0
    return sum(runs) if runs and not place and min(runs) >= 0 else -1


def test_pixels_of_sound_codes_are_those_of_the_image(monkeypatch):
    masks = [mask for _, mask in shapes()]
    codes = [encode_mask(mask)["counts"] for mask in masks]
    expected = [mask.size for mask in masks]
    assert pixels_of_codes(codes).tolist() == expected == [pixels_plainly(code) for code in codes]
    monkeypatch.setattr("eval.detector.mask_code.SYMBOLS_AT_ONCE", 50)
    assert pixels_of_codes(codes).tolist() == expected
    assert pixels_of_codes([]).tolist() == []
    assert pixels_of_codes([""]).tolist() == [-1]


@settings(deadline=5000)  # milliseconds an example
@given(st.lists(st.text("".join(map(chr, range(46, 115))), max_size=12) | st.text(max_size=5), max_size=6))
def test_pixels_of_any_text(codes):
    assert pixels_of_codes(codes).tolist() == [pixels_plainly(code) for code in codes]


def test_damaged_codes_are_noticed():
    code = encode_mask(np.random.default_rng(0).random((30, 40)) < 0.3)["counts"]
    damaged = [code[:-1], code[:5], code + "0", code[1:], "0" + code, "garbage", "~" + code, code[:-1] + "P"]
    assert 1200 not in pixels_of_codes(damaged).tolist()
