"""The encoder's blocks: timm's, with stochastic depth that may be drawn elsewhere."""

import torch
from timm.models.vision_transformer import Block


class EncoderBlock(Block):
    """timm's block; `kept` `(2, B)` multiplies its two branches, image by image, instead of its own draw."""

    def forward(self, x: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:  # type: ignore[override]
        """Run on tokens `(B, N, D)`; same shape."""
        if kept is None:
            return super().forward(x)
        first, second = kept[:, :, None, None]  # (B, 1, 1) each
        branch = self.ls1(self.attn(self.norm1(x)))
        x = x + branch * first.to(branch.dtype)
        branch = self.ls2(self.mlp(self.norm2(x)))
        return x + branch * second.to(branch.dtype)
