"""Linear heads on frozen tokens: what the two protocols compute. `eval.segment.linear_training` trains them.

`linear-leopart` (Leopart, NeCo) and `linear-dinov3` (docs/protocols.md, "Linear heads"); their constants are fields of the
protocol's class, with the source beside them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from eval.segment.crops import pad, resized_crop, scaled_crop, short_side, squash
from flsl.confusion import VOID
from flsl.encoder import Encoder
from flsl.finite import require_finite


class LinearHead(nn.Module):
    """Tokens `(B, D, h, w)` -> logits `(B, C, h, w)`: batch normalization, where the protocol has it, and a 1x1
    convolution.
    """

    def __init__(self, width: int, classes: int, batch_norm: bool, seed: int = 0):
        """Draw the weights: torch's own draw for a convolution, or (with batch normalization) normal, std 0.01."""
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.norm = nn.BatchNorm2d(width) if batch_norm else nn.Identity()
            self.classify = nn.Conv2d(width, classes, 1)
            if batch_norm:
                self.classify.weight.data.normal_(std=0.01)
                self.classify.bias.data.zero_()  # type: ignore[union-attr]  # there is one

    def forward(self, tokens: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits; `kept` `(B, D)` multiplies the channels first (dropout)."""
        if kept is not None:
            tokens = tokens * kept[:, :, None, None]
        return self.classify(self.norm(tokens))


@dataclass(frozen=True)
class LinearProtocol(ABC):
    """Constants that both protocols have, and what they compute differently."""

    side: int  # pixels of the square that is encoded
    batch_size: int
    learning_rate: float
    weight_decay: float
    dropout: float  # share of the tokens' channels
    batch_norm: bool

    def input_side(self, patch_size: int) -> int:
        """Return the side in pixels that patches fit in: the protocol's, or the next smaller multiple (504 for 14)."""
        return self.side // patch_size * patch_size

    @abstractmethod
    def steps(self, images: int) -> int:
        """Return how many steps a training on so many images has."""

    @abstractmethod
    def rate(self, step: int, images: int) -> float:
        """Return the learning rate of a step (0-based)."""

    @abstractmethod
    def optimizer(self, head: LinearHead) -> torch.optim.Optimizer:
        """Return the optimizer of a head's weights."""

    @abstractmethod
    def example(
        self, image: np.ndarray, mask: np.ndarray, random: np.random.Generator, encoder: Encoder
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw what one image gives to a step: `(3, S, S)` float32, normalized, and labels `(M, M)` uint8."""

    @abstractmethod
    def counted(self, labels: torch.Tensor) -> int:
        """Return the number of pixels that a batch's summed loss is divided by."""

    def batch(self, images: int) -> int:
        """Return the images of a step: the protocol's, or all there are where they are fewer."""
        return min(self.batch_size, images)


@dataclass(frozen=True)
class Leopart(LinearProtocol):
    """`linear-leopart`: `experiments/linear_probing` of Leopart (840e365), which NeCo repeats with a batch of 128."""

    side: int = 448
    batch_size: int = 60
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    dropout: float = 0.1
    batch_norm: bool = False
    momentum: float = 0.9
    epochs: int = 25  # of whole batches
    drop_after: int = 20  # epochs, then the rate is a tenth
    mask_size: int = 100  # in training and in evaluation: `train_mask_size`, `val_mask_size`
    scale: tuple[float, float] = (0.8, 1.0)  # area of the crop

    def steps(self, images: int) -> int:
        """Return the steps of all epochs."""
        return self.epochs * (images // self.batch(images))

    def rate(self, step: int, images: int) -> float:
        """Return a tenth of the learning rate after `drop_after` epochs."""
        epoch = step // (images // self.batch(images))
        return self.learning_rate * 0.1 ** (epoch // self.drop_after)

    def optimizer(self, head: LinearHead) -> torch.optim.Optimizer:
        """Return SGD with momentum."""
        return torch.optim.SGD(
            head.parameters(), lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def example(
        self, image: np.ndarray, mask: np.ndarray, random: np.random.Generator, encoder: Encoder
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw a random resized crop."""
        side = self.input_side(encoder.patch_size)
        crop, labels = resized_crop(image, mask, random, side=side, mask_size=self.mask_size, scale=self.scale)
        return normalize(crop, encoder), labels

    def counted(self, labels: torch.Tensor) -> int:
        """Return the labeled pixels: torch's mean leaves void out."""
        return int((labels != VOID).sum())


@dataclass(frozen=True)
class DinoV3(LinearProtocol):
    """`linear-dinov3`: `config-ade20k-linear-training.yaml` of DINOv3, on one device instead of 8 with 2 images each."""

    side: int = 512
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    dropout: float = 0.1
    batch_norm: bool = True
    iterations: int = 40_000
    warm_up: int = 1500
    warm_up_ratio: float = 1e-6
    ratios: tuple[float, float] = (0.5, 2.0)  # of the short side, 512
    stride: int = 341  # of the windows

    def steps(self, images: int) -> int:
        """Return the iterations, however many images there are."""
        return self.iterations

    def rate(self, step: int, images: int) -> float:
        """Return the rate of `WarmupOneCycleLR` with `pct_start: 0` and `final_div_factor: inf`."""
        done = max(step - 1, 0)  # the schedule does not move after the first step
        if done < self.warm_up:
            share = 1 - (1 - done / self.warm_up) * (1 - self.warm_up_ratio)
            return self.learning_rate * share * (1 - done / self.iterations)
        return self.learning_rate / 2 * (1 + math.cos(math.pi * (done + 1) / self.iterations))

    def optimizer(self, head: LinearHead) -> torch.optim.Optimizer:
        """Return AdamW, which decays all parameters."""
        return torch.optim.AdamW(head.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)

    def example(
        self, image: np.ndarray, mask: np.ndarray, random: np.random.Generator, encoder: Encoder
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw a crop of a scaled image, padded with zeros and void where the image is smaller."""
        side = self.input_side(encoder.patch_size)
        crop, labels = scaled_crop(image, mask, random, short=side, side=side, ratios=self.ratios)
        return pad(normalize(crop, encoder), labels, side)

    def counted(self, labels: torch.Tensor) -> int:
        """Return all pixels: mmsegmentation's mean counts void, whose loss is 0."""
        return labels.numel()


def normalize(image: torch.Tensor, encoder: Encoder) -> torch.Tensor:
    """Return `(..., 3, H, W)` in 0..255 with the encoder's mean and standard deviation taken out."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (encoder.config.image_mean, encoder.config.image_std))
    return (image.float() / 255 - mean) / std


def token_map(encoder: Encoder, images: torch.Tensor, what: str) -> torch.Tensor:
    """Return the tokens `(B, D, h, w)` of normalized images `(B, 3, H, W)`. Raises UserError if they are no numbers."""
    with torch.no_grad():
        (tokens,) = encoder.feature_maps(images)
    require_finite(tokens, encoder, images, what)
    return tokens


@torch.no_grad()
def predict_squashed(head: LinearHead, tokens: torch.Tensor, mask_size: int) -> np.ndarray:
    """Return the classes (n, mask_size, mask_size) uint8 of images that were encoded as squares.

    Logits are resized in place of the tokens, as Leopart resizes: for a linear head it is the same, and cheaper.

    Args:
        head: trained.
        tokens: `(n, D, h, w)` float32 on the head's device.
        mask_size: side in pixels.
    """
    logits = F.interpolate(head.eval()(tokens), (mask_size, mask_size), mode="bilinear", align_corners=False)
    return logits.argmax(dim=1).to(torch.uint8).cpu().numpy()


@torch.no_grad()
def predict_sliding(head: LinearHead, encoder: Encoder, image: np.ndarray, protocol: DinoV3, what: str) -> np.ndarray:
    """Return the classes (H, W) uint8 of an image: logits of overlapping windows, averaged, at the image's own size.

    Args:
        head: trained, on the encoder's device.
        encoder: frozen.
        image: (H, W, 3) uint8 RGB.
        protocol: window and stride.
        what: the image's name, for messages.
    """
    head.eval()
    device = next(head.parameters()).device
    side = protocol.input_side(encoder.patch_size)
    scaled = normalize(squash(image, short_side(image, side)), encoder)
    height, width = scaled.shape[1:]
    total = torch.zeros(head.classify.out_channels, height, width, device=device)
    times = torch.zeros(height, width, device=device)
    for rows, columns in windows((height, width), side, protocol.stride * side // protocol.side):
        tokens = token_map(encoder, scaled[None, :, rows, columns].to(device), what)
        total[:, rows, columns] += F.interpolate(head(tokens), (side, side), mode="bilinear", align_corners=False)[0]
        times[rows, columns] += 1
    logits = F.interpolate((total / times)[None], image.shape[:2], mode="bilinear", align_corners=False)[0]
    return logits.argmax(dim=0).to(torch.uint8).cpu().numpy()


def windows(size: tuple[int, int], side: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of the windows that cover an image at least as large; the last ones are moved inside."""
    places = [
        [slice(begin := min(n * stride, length - side), begin + side) for n in range(_count(length, side, stride))]
        for length in size
    ]
    for rows in places[0]:
        for columns in places[1]:
            yield rows, columns


def _count(length: int, side: int, stride: int) -> int:
    return max(length - side + stride - 1, 0) // stride + 1
