"""Frames as the protocol wants them: resized, floored to a multiple, normalized."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from eval.davis.protocol import Protocol
from flsl.runtime.images import read_bgr


def frame_size(height: int, width: int, protocol: Protocol, patch_size: int = 1) -> tuple[int, int]:
    """Return (height, width) in pixels of a frame after resizing (docs/protocols.md, "DAVIS 2017").

    A square image counts as landscape: its height is the short side. Where patches do not divide the protocol's sides, they
    are floored to what patches divide.
    """
    long_side = protocol.short_side * max(height, width) // min(height, width)
    long_side -= long_side % protocol.long_side_multiple
    short, long = (side // patch_size * patch_size for side in (protocol.short_side, long_side))
    return (long, short) if height > width else (short, long)


def read_frame(path: Path, protocol: Protocol, patch_size: int = 1) -> Tensor:
    """Read a frame as the encoder's input (3, H, W) float32, RGB.

    Raises ImageError if the file cannot be decoded, or only in part.
    """
    return to_input(resize_frame(read_bgr(path), protocol, patch_size), protocol)


def resize_frame(image: np.ndarray, protocol: Protocol, patch_size: int = 1) -> np.ndarray:
    """Resize a BGR image (H, W, 3) uint8 by OpenCV's bilinear rule; other libraries differ by a gray level or more."""
    height, width = image.shape[:2]
    height, width = frame_size(height, width, protocol, patch_size)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def to_input(image: np.ndarray, protocol: Protocol) -> Tensor:
    """Turn a BGR image (H, W, 3) uint8 into a normalized RGB tensor (3, H, W) float32."""
    pixels = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))).float().div_(255)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (protocol.mean, protocol.std))
    return pixels.sub_(mean).div_(std)
