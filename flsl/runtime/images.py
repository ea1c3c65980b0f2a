"""The one image reader: pixels of whole files, and a `UserError` for everything else.

JPEG files are decoded by libjpeg-turbo, which counts what is missing in the entropy-coded data itself: a file whose
second half is gone is refused even where an end marker follows. Pixels are those of OpenCV, torchvision and Pillow, which
use the same library. Other kinds, the colors of CMYK, and the few JPEGs that TurboJPEG's interface does not take (12
bits, odd subsamplings) are decoded by the library that the caller's protocol names; Pillow tells whether they are whole.

An EXIF orientation is never followed: annotations and masks are drawn on the pixels as they are stored.
"""

import contextlib
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from flsl.runtime.errors import UserError
from flsl.runtime.files import KINDS

MAX_PIXELS = 89_478_485  # Pillow's own limit; a file of a few kilobytes can announce pictures that fill the memory
LONGEST = 16  # times its short side may a picture be long whose tokens are all compared: memory and time grow with their square
MAX_BYTES = 1 << 30  # twice what so many pixels take as they are, with 16 bits a color

# What the decoder says of missing data, and what it says of files that lack nothing.
_MISSING = re.compile("premature end|instead of RST", re.IGNORECASE)
_HARMLESS = re.compile("extraneous bytes|Adobe|JFIF")
_SCAN = 0xDA  # marker of a scan header
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a frame header: SOF0 to SOF15
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in entropy-coded data FF00 is a byte, FFD0-7 restart


class ImageError(UserError):
    """A file that is no whole image; `reason` says in a few words what is wrong with it."""

    reason = ""

    @classmethod
    def of(cls, path: str | Path, reason: str) -> "ImageError":
        """Make one (data workers rebuild exceptions from their message alone)."""
        remedy = "" if Path(path).is_dir() else " Replace the file, or take it out of the data."
        error = cls(f"image {path} cannot be read: {reason}.{remedy}")
        error.reason = reason
        return error


def read_rgb(path: str | Path) -> np.ndarray:
    """Read an image as RGB, `(H, W, 3)` uint8: pretraining, k-NN and figures. What is no JPEG is decoded by Pillow.

    Raises:
        ImageError: no such file, no image, cut off, of more than 8 bits per color, or more than `MAX_PIXELS`.
    """
    data = _read(path)
    pixels = _decode_jpeg(data, path, "RGB")
    if pixels is None:
        pixels = np.array(_open_colors(data, path).convert("RGB"))
    return pixels


def read_bgr(path: str | Path) -> np.ndarray:
    """Read an image as BGR, `(H, W, 3)` uint8: DAVIS and the detectors. What is no JPEG is decoded by OpenCV.

    Raises:
        ImageError: as `read_rgb`.
    """
    import cv2

    data = _read(path)
    pixels = _decode_jpeg(data, path, "BGR")
    if pixels is None:
        _open_colors(data, path)  # OpenCV decodes the rest of a file without a word
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ImageError.of(path, "OpenCV cannot decode this kind of picture")
    return pixels


def read_mask(path: str | Path, modes: tuple[str, ...] = ("P", "L")) -> np.ndarray:
    """Read a mask as its stored bytes, `(H, W)` uint8: indices of the palette (P) or gray levels (L), void included.

    Raises:
        ImageError: as `read_rgb`, or the picture is of none of Pillow's `modes`.
    """
    image = _open(_read(path), path)
    if image.mode not in modes:
        wanted = "palette (P), whose index is the object's id" if "P" in modes else "gray (L)"
        raise ImageError.of(path, f"a mask of mode {image.mode} instead of {wanted}")
    return np.asarray(image)


def read_header(path: str | Path) -> tuple[tuple[int, int], str]:
    """Return (width, height) and Pillow's mode of an image by its header alone; the rest is taken on trust.

    Raises:
        ImageError: as `read_rgb`.
    """
    _require_file(path)
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # of strange but harmless EXIF blocks
            return image.size, image.mode
    except Exception as error:  # a damaged file can make Pillow raise anything
        raise ImageError.of(path, _explain(path, error)) from error


def is_ribbon(size: tuple[int, int]) -> bool:
    """Tell whether a picture of two such sides, in pixels, is so long and narrow that its tokens fill the memory."""
    return max(size) > LONGEST * min(size)


def check_image(path: str | Path, whole: bool = True) -> tuple[int, int]:
    """Return (width, height) of an image, all of whose data are there; several times as fast as decoding it.

    Args:
        path: any kind of picture.
        whole: False reads the header alone and takes the rest on trust.

    Raises:
        ImageError: as `read_rgb`.
    """
    if not whole:
        size, mode = read_header(path)
        _require_8_bits(path, mode)
        return size
    data = _read(path)
    # An eighth of the picture is computed, but the whole of the entropy-coded data is read.
    if _decode_jpeg(data, path, "GRAY", min_factor=8) is not None:
        width, height, *_ = _layout(data)
        return width, height
    return _open_colors(data, path).size


def _read(path: str | Path) -> bytes:
    """Return the bytes of a file."""
    _require_file(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError.of(path, _explain(path, error)) from error
    if not data:
        raise ImageError.of(path, "the file is empty")
    return data


def _require_file(path: str | Path) -> None:
    """Raise ImageError for what would keep its reader waiting for ever, such as a named pipe, or fill the memory."""
    with contextlib.suppress(OSError):  # reading says what is wrong
        status = os.stat(path)
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind and not stat.S_ISDIR(status.st_mode):
            raise ImageError.of(path, f"it is a {kind}, not a file")
        if status.st_size > MAX_BYTES:
            raise ImageError.of(path, f"{status.st_size:,} bytes are more than a picture can have")


def _decode_jpeg(data: bytes, path: str | Path, colors: str, min_factor: int = 1) -> np.ndarray | None:
    """Decode a JPEG file into `(H, W, 3)` uint8 of the given order of colors; None where another library has to."""
    if not data.startswith(b"\xff\xd8"):
        return None
    width, height, components, complete = _layout(data)
    _check_pixels(path, width, height)
    colors = "CMYK" if components == 4 else colors
    pixels = None
    for tidy, strict in ((False, True), (True, True), (False, False)):
        try:
            content = _without_junk(data) if tidy else data
            pixels = simplejpeg.decode_jpeg(content, colors, min_factor=min_factor, strict=strict)
            break
        except ValueError as error:  # the decoder's first complaint
            if _MISSING.search(str(error)):
                raise ImageError.of(path, f"the file is cut off after {len(data):,} bytes ({error})") from error
            if not _HARMLESS.search(str(error)):
                break
    if pixels is not None and not complete:
        raise ImageError.of(path, f"the file is cut off after {len(data):,} bytes (scans of the JPEG are missing)")
    # CMYK was decoded to see that it is whole; the caller's library makes colors of it
    return None if components == 4 else pixels


def _without_junk(data: bytes) -> bytes:
    """Return a JPEG file without what lies between its headers and belongs to none."""
    pieces = [data[:2]]
    for marker, start, end in _segments(data):
        if marker == _SCAN:
            return b"".join([*pieces, data[start:]])
        pieces.append(data[start:end])
    return data


def _layout(data: bytes) -> tuple[int, int, int, bool]:
    """Return what a JPEG's headers say: width, height, components, and whether its scans give every coefficient fully.

    The last is for progressive files, and for others with one scan per component: cut between two scans, they decode
    without a complaint. A damaged header gives zeros.
    """
    width = height = 0
    open_bits: dict[int, list[int]] = {}  # of each component's 64 coefficients, how many low bits are still to come
    progressive = False
    for marker, start, end in _segments(data):
        content = data[start + 4 : end]
        if marker in _FRAMES and len(content) >= 6 and not open_bits:
            progressive = marker & 3 == 2
            height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
            open_bits = {component: [16] * 64 for component in content[6 : 6 + 3 * content[5] : 3]}
        elif marker == _SCAN and content and len(content) >= 4 + 2 * content[0]:
            first, last, bits = content[1 + 2 * content[0] : 4 + 2 * content[0]] if progressive else (0, 63, 0)
            for component in content[1 : 1 + 2 * content[0] : 2]:
                if component in open_bits:
                    open_bits[component][first : last + 1] = [bits & 15] * (last + 1 - first)
            if not any(any(coefficients) for coefficients in open_bits.values()):
                return width, height, len(open_bits), True
    return width, height, len(open_bits), False


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each header of a JPEG file, up to its end marker; entropy-coded data are skipped."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data) and (marker := data[at + 1]) != 0xD9:
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # fill bytes, and markers without content
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at, end
        found = _NEXT_MARKER.search(data, end) if marker == _SCAN else None
        at = found.start() if found else end


def _open(data: bytes, path: str | Path) -> Image.Image:
    """Decode a picture by Pillow, which refuses what is cut off."""
    try:
        image = Image.open(io.BytesIO(data))
        _check_pixels(path, *image.size)
        if image.format == "PNG" and not _png_is_whole(data):  # Pillow lets the last bytes of the pixels be missing
            raise OSError("truncated")
        image.load()
        return image
    except ImageError:
        raise
    except Exception as error:  # a damaged file can make Pillow raise anything
        raise ImageError.of(path, _explain(path, error)) from error


def _open_colors(data: bytes, path: str | Path) -> Image.Image:
    """Decode a picture that is no mask."""
    image = _open(data, path)
    _require_8_bits(path, image.mode)
    return image


def _require_8_bits(path: str | Path, mode: str) -> None:
    if mode.startswith(("I", "F")):  # of Pillow's whatever is above 255 would be white
        raise ImageError.of(path, f"a picture of mode {mode}; save it with 8 bits per color")


def _png_is_whole(data: bytes) -> bool:
    """Tell whether the chunks of a PNG file follow each other up to the end chunk."""
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def _check_pixels(path: str | Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError.of(path, f"{width}x{height} pixels are more than {MAX_PIXELS:,}; scale the picture down")


def _explain(path: str | Path, error: Exception) -> str:
    """Say in a few words why a picture cannot be read."""
    if isinstance(error, Image.DecompressionBombError):
        return f"it announces more than {MAX_PIXELS:,} pixels; scale the picture down"
    if Path(path).is_dir():
        return "it is a folder; name the pictures in it"
    if not Path(path).is_file():
        return "the file is missing"
    if isinstance(error, OSError) and error.errno is not None:
        return f"the system refuses: {error.strerror}"
    size = Path(path).stat().st_size
    if size == 0:
        return "the file is empty"
    return (
        f"the file is cut off after {size:,} bytes" if "truncated" in str(error).lower() else "not a readable picture"
    )
