"""Self-attention of the encoder's blocks, by the kernel that is fastest where it runs."""

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Attention

# Up to so many tokens a CPU's matrix units beat torch's fused kernel in bfloat16 (its backward pass by far); beyond,
# reading and writing the attention matrix costs more than it saves.
EXPLICIT_TOKENS = 400

Sizes = tuple[tuple[int, int], ...]  # (images, tokens of each), group by group


class EncoderAttention(Attention):
    """timm's attention, for images of one size or of several. Where gradients are computed in bfloat16 on a CPU, short
    sequences get their matrix explicitly."""

    def forward(self, x: torch.Tensor, *_: Any, sizes: Sizes | None = None, **__: Any) -> torch.Tensor:
        """Attend within `x` `(B, N, D)`; same shape. With `sizes`, `x` `(R, D)` is the tokens of groups of images, image by image,
        and both products run over all rows at once."""
        rows = self.qkv(x)
        if sizes is None:
            return self.proj(self._attend(rows))
        parts = [part.unflatten(0, size) for part, size in zip(split_rows(rows, sizes), sizes)]
        return self.proj(torch.cat([self._attend(part).flatten(0, 1) for part in parts]))

    def _attend(self, rows: torch.Tensor) -> torch.Tensor:
        """Mix the values of queries, keys and values `(B, N, 3 D)`; returns `(B, N, D)`."""
        parts = rows.unflatten(2, (3, self.num_heads, self.head_dim))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, N, d)
        if self.fused_attn and not _explicit_is_faster(rows):
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1) @ value
        return mixed.transpose(1, 2).flatten(2)


def split_rows(rows: torch.Tensor, sizes: Sizes) -> tuple[torch.Tensor, ...]:
    """Cut rows `(R, D)` into those of each group `(images * tokens, D)`."""
    return rows.split([images * tokens for images, tokens in sizes])


def _explicit_is_faster(rows: torch.Tensor) -> bool:
    if rows.device.type != "cpu" or rows.shape[1] > EXPLICIT_TOKENS or not torch.is_grad_enabled():
        return False
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
