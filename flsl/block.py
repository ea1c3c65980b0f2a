"""The encoder's blocks: timm's, with stochastic depth that may be drawn elsewhere, and for images of several sizes at once."""

import torch
from timm.models.vision_transformer import Block

from flsl.attention import Sizes


class EncoderBlock(Block):
    """timm's block; `kept` multiplies its two branches, image by image, instead of its own draw."""

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, kept: torch.Tensor | None = None, sizes: Sizes | None = None
    ) -> torch.Tensor:
        """Run on tokens `(B, N, D)` and `kept` `(2, B)`, or with `sizes` on the rows `(R, D)` of several groups of images and
        `kept` `(2, R)`; same shape."""
        if kept is None and sizes is None:
            return super().forward(x)
        x = x + _times(self.ls1(self.attn(self.norm1(x), sizes=sizes)), kept, 0)
        return x + _times(self.ls2(self.mlp(self.norm2(x))), kept, 1)


def _times(branch: torch.Tensor, kept: torch.Tensor | None, which: int) -> torch.Tensor:
    """Multiply a branch `(n, ..., D)` by its factors `(n,)`."""
    return branch if kept is None else branch * kept[which].view(-1, *[1] * (branch.dim() - 1)).to(branch.dtype)
