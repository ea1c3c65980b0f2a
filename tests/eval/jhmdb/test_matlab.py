"""The reader of MATLAB files: equal to scipy's on sound files, and refusing damaged ones, some of which end scipy's process."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from eval.jhmdb.matlab import HEADER, NUMBERS, read_numbers

LARGEST = 1 << 20


def saved(compressed=False, **variables):
    content = BytesIO()
    savemat(content, variables, do_compression=compressed)
    return content.getvalue()


def stored(numbers, kind, order):
    """A file of the variable `x`, whose numbers are stored in another kind or order of bytes than its class's."""

    def element(kind, data):
        return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)

    def words(*values):
        return struct.pack(f"{order}{len(values)}i", *values)

    content = numbers.astype(np.dtype(NUMBERS[kind]).newbyteorder(order)).tobytes("F")
    small = struct.pack(f"{order}HH4s", 1, 1, b"x")  # kind and length, the content in the same 8 bytes
    matrix = element(6, words(6, 0)) + element(5, words(*numbers.shape)) + small + element(kind, content)
    version = struct.pack(f"{order}HH", 0x100, 0x4D49)
    return b"MATLAB 5.0".ljust(HEADER - 4) + version + element(14, matrix)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_numbers_are_scipys(dtype, compressed):
    rng = np.random.default_rng(0)
    for shape in ((2, 15, 40), (2, 15, 1), (1, 1), (3, 0), (2, 3, 4, 5)):
        numbers = rng.uniform(0, 100, shape).astype(dtype)
        others = {"a": "text", "b": np.array([[1, "c"]], object), "c": {"x": 1}, "d": 2j, "e": csc_array(np.eye(3))}
        data = saved(compressed, **others, x=numbers, y=numbers + 1)
        read = read_numbers(data, "x", LARGEST)
        expected = loadmat(BytesIO(data))["x"]
        assert (read.dtype, read.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(read, expected)
        np.testing.assert_array_equal(read_numbers(data, "y", LARGEST), loadmat(BytesIO(data))["y"])
        assert all(read_numbers(data, name, LARGEST) is None for name in [*others, "z", "", "xx"])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_in_any_kind_and_order_of_bytes_are_scipys(kind, order):
    data = stored(np.arange(90).reshape(2, 15, 3), kind, order)
    np.testing.assert_array_equal(read_numbers(data, "x", LARGEST), loadmat(BytesIO(data))["x"])


def test_a_wrong_byte_is_refused_or_harmless():
    numbers = np.random.default_rng(0).uniform(0, 100, (2, 15, 2))
    plain = saved(x=numbers)
    assert read_numbers(plain, "x", LARGEST) is not None
    refused = 0
    for at in range(HEADER - 4, HEADER + 72):  # all headers; what follows are the numbers
        for value in range(256):
            data = plain[:at] + bytes([value]) + plain[at + 1 :]
            try:
                read = read_numbers(data, "x", LARGEST)
            except ValueError:
                refused += 1
                continue
            assert read is None or read.size == numbers.size
    assert refused > 5000
    for length in range(HEADER, len(plain)):
        data = plain[:length]
        if length == HEADER:
            assert read_numbers(data, "x", LARGEST) is None
        else:
            with pytest.raises(ValueError, match="does not fit"):
                read_numbers(data, "x", LARGEST)


def test_compressed_variables_are_whole_and_bounded():
    data = saved(True, x=np.zeros((2, 15, 40)))
    assert read_numbers(data, "x", LARGEST).shape == (2, 15, 40)
    with pytest.raises(ValueError, match="cut off or too large"):
        read_numbers(data, "x", 9000)
    payload = data[HEADER + 8 :]
    for broken in (payload[:-6], zlib.compress(b"\0" * (64 << 20)), zlib.compress(b"")):
        with pytest.raises(ValueError, match=r"cut off or too large|does not fit"):
            read_numbers(data[:HEADER] + struct.pack("<II", 15, len(broken)) + broken, "x", LARGEST)
    with pytest.raises(ValueError, match="damaged"):
        read_numbers(data[: HEADER + 8] + b"\xff" + payload[1:], "x", LARGEST)
    nested = zlib.compress(data[HEADER:])
    with pytest.raises(ValueError, match="kind 15"):
        read_numbers(data[:HEADER] + struct.pack("<II", 15, len(nested)) + nested, "x", LARGEST)


@pytest.mark.parametrize("data", [b"", b"text", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", b"\x80\x04N."])
def test_other_files_are_refused(data):
    with pytest.raises(ValueError, match="no MATLAB 5 file"):
        read_numbers(data, "x", LARGEST)
