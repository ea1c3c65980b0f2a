"""A linear head on frozen tokens, and what the two linear protocols compute with it (docs/protocols.md, "Linear heads")."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from eval.normalization import normalize
from eval.segment.crops import pad, resized_crop, scaled_crop, short_side, squash
from eval.segment.protocols import Linear, LinearDinoV3, LinearLeopart
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


def make_optimizer(protocol: Linear, head: LinearHead) -> torch.optim.Optimizer:
    """Return the optimizer of a head's weights, all of which decay."""
    rate, decay = protocol.learning_rate, protocol.weight_decay
    if isinstance(protocol, LinearLeopart):
        return torch.optim.SGD(head.parameters(), lr=rate, momentum=protocol.momentum, weight_decay=decay)
    return torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=decay)


def draw_example(
    protocol: Linear, image: np.ndarray, mask: np.ndarray, random: np.random.Generator, encoder: Encoder
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw what one training image gives to a step.

    Args:
        protocol: says how.
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8.
        random: decides everything.
        encoder: says which patches and which normalization.

    Returns:
        The image `(3, S, S)` float32, normalized, and its labels `(M, M)` uint8.
    """
    side = protocol.input_side(encoder.patch_size)
    if isinstance(protocol, LinearLeopart):
        sizes = {"side": side, "mask_size": protocol.mask_side}
        crop, labels = resized_crop(image, mask, random, scale=protocol.area, **sizes)
        return _normalized(crop, encoder), labels
    assert isinstance(protocol, LinearDinoV3)
    crop, labels = scaled_crop(image, mask, random, short=side, side=side, ratios=protocol.ratios)
    return pad(_normalized(crop, encoder), labels, side)


def _normalized(image: torch.Tensor, encoder: Encoder) -> torch.Tensor:
    return normalize(image, encoder.config.image_mean, encoder.config.image_std)


def counted_pixels(protocol: Linear, labels: torch.Tensor) -> int:
    """Return the number of pixels that a batch's summed loss is divided by.

    Torch's mean, Leopart's, leaves void out; mmsegmentation's, DINOv3's, counts it.
    """
    return int((labels != VOID).sum()) if isinstance(protocol, LinearLeopart) else labels.numel()


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
def predict_sliding(
    head: LinearHead, encoder: Encoder, image: np.ndarray, protocol: LinearDinoV3, what: str
) -> np.ndarray:
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
    scaled = _normalized(squash(image, short_side(image, side)), encoder)
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
