"""Evaluated images squashed to a square: what Leopart's protocols encode, and share in the store of tokens."""

import torch
from torch import Tensor

from eval.segment.crops import squash
from eval.segment.datasets import Split
from eval.segment.protocols import Squares
from eval.segment.tokens import Pictures
from flsl.checkpoint import LoadedEncoder
from flsl.encoder import Encoder


def normalize(image: Tensor, encoder: Encoder) -> Tensor:
    """Return `(..., 3, H, W)` in 0..255 with the encoder's mean and standard deviation taken out."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (encoder.config.image_mean, encoder.config.image_std))
    return (image.float() / 255 - mean) / std


def square_pictures(split: Split, protocol: Squares, loaded: LoadedEncoder) -> Pictures:
    """Return a split's images as `protocol` encodes them for evaluation."""
    encoder = loaded.encoder
    side = protocol.input_side(encoder.patch_size)

    def load(image: int) -> Tensor:
        return normalize(squash(split.image(image), (side, side)), encoder)

    identity = {
        "side": side,
        "mean": encoder.config.image_mean,
        "std": encoder.config.image_std,
        "data": split.digest(),
        "split": split.name,
    }
    grid = side // encoder.patch_size
    return Pictures(split.name, identity, len(split), load, (grid, grid))
