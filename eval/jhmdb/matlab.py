"""One array of numbers from a MATLAB 5 file (MathWorks, "MAT-File Format"), and nothing else of it.

Such files come from anybody. scipy's reader uses numbers of the file as places in its tables, unchecked: a wrong byte there
ends the interpreter. Here numpy reads, and only what fits.
"""

import math
import zlib
from typing import Literal

import numpy as np

# Kinds of elements.
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
MATRIX, COMPRESSED = 14, 15
NUMERIC, COMPLEX = range(6, 16), 0x800  # classes of matrices, and a flag of them
HEADER = 128  # bytes

Order = Literal["little", "big"]


def read_numbers(data: bytes, name: str, largest: int) -> np.ndarray | None:
    """Return the first array of real numbers that a file calls `name`, None where it holds none.

    Args:
        data: the file.
        name: of the variable; others are passed over.
        largest: bytes that compressed variables may have together when they no longer are.

    Raises:
        ValueError: this is no MATLAB 5 file, is damaged or cut off, or holds more than `largest`.
    """
    orders: dict[bytes, Order] = {b"\x00\x01IM": "little", b"\x01\x00MI": "big"}
    order = orders.get(data[HEADER - 4 : HEADER])
    if order is None:
        raise ValueError("no MATLAB 5 file")
    at = HEADER
    while at < len(data):
        kind, content, _ = _element(data, at, order)
        at += 8 + len(content)
        if kind == COMPRESSED:
            inflater = zlib.decompressobj()
            try:
                content = inflater.decompress(content, largest)
            except zlib.error as error:
                raise ValueError("a compressed variable is damaged") from error
            largest -= len(content)
            if not inflater.eof or largest <= 0:
                raise ValueError("a compressed variable is cut off or too large")
            kind, content, _ = _element(content, 0, order)
        if kind != MATRIX:
            raise ValueError(f"a variable of the unknown kind {kind}")
        numbers = _numbers(content, name, order)
        if numbers is not None:
            return numbers
    return None


def _element(data: bytes, at: int, order: Order) -> tuple[int, bytes, int]:
    """Return kind and content of the element at a byte, and where the next one begins inside a matrix."""
    kind, size = (int.from_bytes(data[byte : byte + 4], order) for byte in (at, at + 4))
    start, room = at + 8, len(data)
    if kind >> 16:  # a small one: its content stands where others have their size
        kind, size, start, room = kind & 0xFFFF, kind >> 16, at + 4, min(at + 8, room)
    end = start + size
    if end > room:
        raise ValueError(f"what begins at byte {at} does not fit")
    return kind, data[start:end], end + -end % 8


def _numbers(matrix: bytes, name: str, order: Order) -> np.ndarray | None:
    """Return the numbers of a matrix, None where it has another name or other content."""
    kind, flags, at = _element(matrix, 0, order)
    if NUMBERS.get(kind) != "u4" or len(flags) != 8:
        raise ValueError("a variable without flags")
    what = int.from_bytes(flags[:4], order)
    if what & 0xFF not in NUMERIC or what & COMPLEX:
        return None
    sides_kind, sides, at = _element(matrix, at, order)
    _, called, at = _element(matrix, at, order)
    if called != name.encode():
        return None
    kind, content, _ = _element(matrix, at, order)
    if kind not in NUMBERS or NUMBERS.get(sides_kind) != "i4":
        raise ValueError(f"numbers of the unknown kind {kind}")
    dtype = np.dtype(NUMBERS[kind]).newbyteorder(order)
    shape = np.frombuffer(sides, np.dtype("i4").newbyteorder(order)).tolist()
    if min(shape, default=-1) < 0 or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{len(content)} bytes are no array of {' x '.join(map(str, shape))}")
    return np.frombuffer(content, dtype).reshape(shape, order="F")
