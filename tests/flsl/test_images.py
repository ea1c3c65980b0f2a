"""The image reader: whole files give the pixels of the protocol's decoder, everything else is refused by name."""

import contextlib
import io
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from flsl.runtime.images import ImageError, check_image, read_bgr, read_mask, read_rgb

END = b"\xff\xd9"
READERS = (read_rgb, read_bgr, check_image)
KINDS = {
    "baseline 4:2:0": ("RGB", {}),
    "baseline 4:2:2": ("RGB", {"subsampling": 1}),
    "baseline 4:4:4": ("RGB", {"subsampling": 0}),
    "own Huffman tables": ("RGB", {"optimize": True}),
    "restart markers": ("RGB", {"restart_marker_blocks": 3}),
    "gray": ("L", {}),
    "CMYK": ("CMYK", {}),
    "progressive": ("RGB", {"progressive": True}),
    "progressive 4:4:4": ("RGB", {"progressive": True, "subsampling": 0}),
    "progressive with restart markers": ("RGB", {"progressive": True, "restart_marker_blocks": 3}),
    "progressive gray": ("L", {"progressive": True}),
    "progressive CMYK": ("CMYK", {"progressive": True}),
}


def draw(mode="RGB", size=(70, 51), kind="JPEG", **options):
    """Return the bytes of a drawn picture."""
    noise = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode).save(file, kind, quality=85, **options)
    return file.getvalue()


def reasons(path, readers=READERS):
    """Return why each reader refuses a file; fails where one takes it."""
    found = []
    for read in readers:
        with pytest.raises(ImageError) as refused:
            read(path)
        assert str(path) in str(refused.value)
        found.append(refused.value.reason)
    return found


@pytest.mark.parametrize(("mode", "options"), KINDS.values(), ids=KINDS)
def test_pixels_are_the_decoders_own(mode, options, tmp_path):
    path = tmp_path / "a.jpg"
    data = draw(mode, **options)
    for trailing in (b"", b"\0\0bytes that a camera adds"):
        path.write_bytes(data + trailing)
        assert check_image(path) == check_image(path, whole=False) == (70, 51)
        expected = np.array(Image.open(path).convert("RGB"))
        np.testing.assert_array_equal(read_rgb(path), expected)
        np.testing.assert_array_equal(read_bgr(path), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        if mode != "CMYK":  # torchvision makes no colors of those
            tensor = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
            np.testing.assert_array_equal(tensor.permute(1, 2, 0), expected)


@pytest.mark.parametrize(("mode", "options"), KINDS.values(), ids=KINDS)
def test_missing_data_are_noticed_even_before_an_end_marker(mode, options, tmp_path):
    """Cut at many places: inside scans, in the last block, between the scans of a progressive file."""
    path, data = tmp_path / "a.jpg", draw(mode, **options)
    begin = data.index(b"\xff\xda") + 14
    scans = [at for at in range(begin, len(data) - 2) if data[at] == 0xFF and data[at + 1] in (0xC4, 0xDA)]
    assert bool(scans) == ("progressive" in options)
    places = {*range(begin, len(data) - 2, 53), *range(len(data) - 12, len(data) - 2), *scans}
    for cut in sorted(places):
        for tail in (b"", END, END + b"\0\0"):
            path.write_bytes(data[:cut] + tail)
            said = reasons(path)
            if cut in scans or "progressive" not in options:
                assert all("cut off after" in reason for reason in said), (cut, tail, said)
    for cut in range(2, begin, 5):  # inside the headers
        path.write_bytes(data[:cut] + END)
        reasons(path)


def test_a_file_with_a_scan_per_component_lacks_one(tmp_path):
    """Sequential, not interleaved: without its last scan it decodes without a complaint, the blue gone."""
    path, (header, tables, scans) = tmp_path / "a.jpg", _one_scan_per_component()
    path.write_bytes(header + tables + b"".join(scans) + END)
    assert read_rgb(path).shape == (16, 16, 3)
    path.write_bytes(header + tables + b"".join(scans[:2]) + END)
    assert all("scans of the JPEG are missing" in reason for reason in reasons(path))


def _one_scan_per_component():
    """Return header, tables and three scans of a flat 16x16 JPEG whose components are coded one after another."""

    def segment(marker, content):
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    code = bytes([1] + [0] * 15 + [0])  # one code of one bit: the value 0, and the end of the block
    tables = segment(0xDB, bytes([0] + [1] * 64)) + segment(0xC4, b"\x00" + code) + segment(0xC4, b"\x10" + code)
    frame = segment(0xC0, bytes([8, 0, 16, 0, 16, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]))
    scans = [segment(0xDA, bytes([1, component, 0, 0, 63, 0])) + b"\x00" for component in (1, 2, 3)]  # 4 blocks, 8 bits
    return b"\xff\xd8" + frame, tables, scans


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "PPM"])
def test_other_kinds_are_whole_or_refused(kind, tmp_path):
    path, data = tmp_path / "a", draw(kind=kind)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_rgb(path), read_bgr(path)[:, :, ::-1])
    assert check_image(path) == (70, 51)
    png_end = b"\0\0\0\0IEND\xaeB`\x82"
    for cut in (len(data) * 3 // 10, len(data) * 6 // 10, len(data) - 36, len(data) - 20):
        for tail in (b"", png_end if kind == "PNG" else b""):
            path.write_bytes(data[:cut] + tail)
            reasons(path)


def test_bytes_too_many_lose_nothing(tmp_path):
    """The decoder's other complaints are no reason to refuse a file."""
    path, data = tmp_path / "a.jpg", draw()
    path.write_bytes(data)
    expected = read_rgb(path)
    for begin, end in ((b"junk", b""), (b"", b"\0\0\0"), (b"junk", b"\0\0\0")):
        path.write_bytes(data[:2] + begin + data[2:-2] + end + END)
        np.testing.assert_array_equal(read_rgb(path), expected)
        np.testing.assert_array_equal(read_bgr(path), expected[:, :, ::-1])
    for tail in (b"", END):
        path.write_bytes(data[:2] + b"junk" + data[2:-90] + tail)
        assert all("cut off" in reason for reason in reasons(path))


def test_an_orientation_is_not_followed(tmp_path):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    path.write_bytes(draw(exif=exif))
    assert Image.open(path).getexif()[0x0112] == 6
    assert read_rgb(path).shape == read_bgr(path).shape == (51, 70, 3)
    assert check_image(path) == (70, 51)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"no picture", "not a readable"),
        (None, "missing"),
        ("pipe", "a named pipe"),
        ("device", "a device"),
    ],
    ids=str,
)
def test_what_is_no_image_is_named(content, reason, tmp_path):
    path = tmp_path / "a.jpg"
    if content == "pipe":
        os.mkfifo(path)
    elif content == "device":
        path.symlink_to("/dev/null")  # of /dev/zero there is no end
    elif content is not None:
        path.write_bytes(content)
    headers = [lambda path: check_image(path, whole=False), read_mask]
    assert all(reason in said for said in reasons(path, [*READERS, *headers]))


def test_pictures_that_would_fill_the_memory_are_refused(tmp_path):
    jpeg, png = bytearray(draw()), bytearray(draw(kind="PNG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = (30_000).to_bytes(2, "big") * 2
    png[16:24] = (10_000).to_bytes(4, "big") * 2  # Pillow warns of so many, and refuses twice as many itself
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    for name, data in (("a.jpg", jpeg), ("a.png", png)):
        (tmp_path / name).write_bytes(data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.showwarning", lambda *_: None)
            assert all("89,478,485" in reason for reason in reasons(tmp_path / name))
            patch.setattr("flsl.runtime.images.MAX_BYTES", 500)
            assert all("bytes are more than" in reason for reason in reasons(tmp_path / name))


def test_damaged_bytes_are_never_more_than_refused(tmp_path):
    path = tmp_path / "a"
    files = [draw(mode, **options) for mode, options in KINDS.values()] + [draw(kind="PNG"), draw(kind="WEBP")]
    for seed in range(150):
        random = np.random.default_rng(seed)
        data = bytearray(files[seed % len(files)])
        for at in random.integers(0, min(len(data), 700), random.choice([1, 3, 20])):
            data[at] = random.integers(256)
        path.write_bytes(data)
        for read in (*READERS, read_mask):
            with contextlib.suppress(ImageError):
                read(path)


def test_masks_are_read_as_stored(tmp_path):
    path, index = tmp_path / "a.png", np.arange(48, dtype=np.uint8).reshape(6, 8)
    mask = Image.fromarray(index)
    mask.save(path)
    np.testing.assert_array_equal(read_mask(path), index)
    assert "mode L" in reasons(path, [lambda path: read_mask(path, modes=("P",))])[0]
    mask.putpalette([255, 0, 0] * 256)
    mask.save(path)
    np.testing.assert_array_equal(read_mask(path), index)
    path.write_bytes(path.read_bytes()[:-40])
    assert "cut off" in reasons(path, [read_mask])[0]
    Image.fromarray(index).convert("RGB").save(path)
    assert "mode RGB" in reasons(path, [read_mask])[0]


def test_real_photographs_are_taken_whole(data_dir):
    paths = sorted(path for path in data_dir.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not paths:
        pytest.skip(f"{data_dir} holds no photographs")
    with ThreadPoolExecutor(4) as threads:
        sizes = list(threads.map(check_image, paths))
    for index, (path, (width, height)) in enumerate(zip(paths, sizes)):
        if index % 50 == 0:
            data = np.fromfile(path, np.uint8)
            expected = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            assert expected.shape == (height, width, 3)
            np.testing.assert_array_equal(read_bgr(path), expected)
            np.testing.assert_array_equal(read_rgb(path), expected[:, :, ::-1])


@pytest.mark.parametrize("read", [read_rgb, read_bgr, check_image, partial(check_image, whole=False)])
@pytest.mark.parametrize("pixels", [np.full((4, 4), 30_000, np.uint16), np.full((4, 4), 300.0, np.float32)])
def test_colors_of_more_than_8_bits_are_not_cut_to_white(pixels, read, tmp_path):
    """By one rule for all readers, so that what is found sound can be evaluated."""
    path = tmp_path / ("a.png" if pixels.dtype == np.uint16 else "a.tiff")
    Image.fromarray(pixels).save(path)
    with pytest.raises(ImageError, match="8 bits per color"):
        read(path)
