"""Frames as the protocol wants them: resized, floored to a multiple, normalized."""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from eval.davis.protocol import Protocol
from flsl.runtime.errors import UserError

JPEG_BEGIN, JPEG_END = b"\xff\xd8", b"\xff\xd9"


def frame_size(height: int, width: int, protocol: Protocol) -> tuple[int, int]:
    """Return (height, width) in pixels of a frame after resizing (docs/protocols.md, "DAVIS 2017").

    A square image counts as landscape: its height is the short side.
    """
    long_side = protocol.short_side * max(height, width) // min(height, width)
    long_side -= long_side % protocol.long_side_multiple
    return (long_side, protocol.short_side) if height > width else (protocol.short_side, long_side)


def read_frame(path: Path, protocol: Protocol) -> Tensor:
    """Read a frame as the encoder's input (3, H, W) float32, RGB.

    Raises UserError if the file cannot be decoded, or only in part.
    """
    return to_input(resize_frame(_decode(path), protocol), protocol)


def resize_frame(image: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Resize a BGR image (H, W, 3) uint8 by OpenCV's bilinear rule; other libraries differ by a gray level or more."""
    height, width = frame_size(*image.shape[:2], protocol)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def to_input(image: np.ndarray, protocol: Protocol) -> Tensor:
    """Turn a BGR image (H, W, 3) uint8 into a normalized RGB tensor (3, H, W) float32."""
    pixels = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))).float().div_(255)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (protocol.mean, protocol.std))
    return pixels.sub_(mean).div_(std)


def _decode(path: Path) -> np.ndarray:
    """Decode a picture to BGR (H, W, 3) uint8."""
    data = path.read_bytes()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None and not data.startswith(JPEG_BEGIN):
        raise UserError(f"{path} is not a readable picture. Copy the frame again from the archive.")
    # OpenCV may fill what is missing of a JPEG with gray and only print a warning; Pillow refuses.
    if image is None or not data.rstrip(b"\0\r\n ").endswith(JPEG_END):
        try:
            with Image.open(path) as picture:
                picture.load()
        except OSError as error:
            raise UserError(f"{path} is cut off after {len(data):,} bytes. Copy the frame again.") from error
    return image
