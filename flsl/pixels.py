"""The baseline without a network: a token is the mean color of its patch and its place (docs/protocols.md, "Segmentation").

A checkpoint name as any other: `--checkpoint pixels/16`. What a network's features do not have over it, they do not owe to
semantics.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from flsl.architecture import EncoderConfig
from flsl.encoder import Encoder, check_blocks, check_sides

CONSTANT = 6.0  # in every token, so that the order of cosines is nearly that of distances
WIDTH = 6


class PixelConfig(EncoderConfig):
    """The description of `PixelEncoder`, in the fields that an encoder's has."""

    @property
    def name(self) -> str:
        """Return `pixels/16`."""
        return f"pixels/{self.patch_size}"


class PixelEncoder(Encoder):
    """Gives `pixel_tokens` in an encoder's place; there is nothing to train."""

    def __init__(self, patch_size: int):
        """Take the side of a patch in pixels. Raises ValueError if it is none."""
        nn.Module.__init__(self)
        self.config = PixelConfig(
            architecture="custom", patch_size=patch_size, image_size=14 * patch_size, embed_dim=WIDTH, depth=1, num_heads=1,
            position_embedding="fixed", final_norm=False,
        )  # fmt: skip
        self.patch_size, self.embed_dim, self.depth, self.num_heads = patch_size, WIDTH, 1, 1
        self.grad_checkpointing, self.num_prefix_tokens = False, 0
        self.register_buffer("patch", torch.tensor(float(patch_size)))  # one fingerprint per patch size

    def patch_tokens(
        self, images: torch.Tensor, blocks: Sequence[int] | None = None, *_: Any, **__: Any
    ) -> list[torch.Tensor]:
        """Return the tokens `(B, N, 6)` of images `(B, 3, H, W)`; arguments and errors are `Encoder.patch_tokens`', whose
        others (norm, stochastic depth, masks, ...) mean nothing here."""
        check_blocks(blocks, self.depth)
        check_sides(images, self.patch_size)
        return [pixel_tokens(images, self.patch_size)]

    def patch_keys(self, images: torch.Tensor) -> torch.Tensor:
        """Return color and place alone `(B, N, 5)`, in the place of keys: with the constant no two would point away from each other."""
        return self.patch_tokens(images)[0][..., :-1]


def pixel_tokens(images: torch.Tensor, patch_size: int) -> torch.Tensor:
    """Return mean color, place and a constant of each patch, `(B, N, 6)`, of normalized images `(B, 3, H, W)`."""
    colors = F.avg_pool2d(images, patch_size)
    rows, columns = (torch.linspace(-1, 1, side, device=images.device) for side in colors.shape[2:])
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    place = torch.stack([x, y, torch.full_like(x, CONSTANT)]).expand(len(images), -1, -1, -1)
    return torch.cat([colors, place], dim=1).flatten(2).transpose(1, 2)
