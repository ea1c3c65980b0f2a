"""Frames as the protocol wants them: resized, floored to a multiple, normalized."""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from eval.propagation.protocol import Protocol
from flsl.runtime.images import read_bgr


def read_frame(path: Path, protocol: Protocol, patch_size: int = 1) -> Tensor:
    """Read a frame as the encoder's input (3, H, W) float32, RGB.

    Raises ImageError if the file cannot be decoded, or only in part.
    """
    return to_input(resize_frame(read_bgr(path), protocol, patch_size), protocol)


def resize_frame(image: np.ndarray, protocol: Protocol, patch_size: int = 1) -> np.ndarray:
    """Resize a BGR image (H, W, 3) uint8 by the library that the protocol names; others differ by a gray level or more.

    Returns uint8, or float32 in 0..1 where the protocol does not round resized pixels.
    """
    height, width = protocol.size(image.shape[0], image.shape[1], patch_size)
    if protocol.resized_by == "bicubic":
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    if protocol.resized_as == "float32":
        image = image.astype(np.float32) / 255
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def to_input(image: np.ndarray, protocol: Protocol) -> Tensor:
    """Turn a BGR image (H, W, 3), uint8 or float32 in 0..1, into a normalized RGB tensor (3, H, W) float32."""
    pixels = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)))  # (3, H, W)
    pixels = pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (protocol.mean, protocol.std))  # of a channel
    return pixels.sub_(mean).div_(std)
