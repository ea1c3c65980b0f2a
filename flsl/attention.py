"""Self-attention of the encoder's blocks, by the kernel that is fastest where it runs."""

from typing import Any

import torch
from timm.layers import Attention

# Up to so many tokens a CPU's matrix units beat torch's fused kernel in bfloat16 (its backward pass by far); beyond,
# reading and writing the attention matrix costs more than it saves.
EXPLICIT_TOKENS = 400


class EncoderAttention(Attention):
    """timm's attention. Where gradients are computed in bfloat16 on a CPU, short sequences get their matrix explicitly."""

    def forward(self, x: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        """Attend within `x` `(B, N, D)`; same shape."""
        if not self.fused_attn or not _explicit_is_faster(x):
            return super().forward(x, *arguments, **keywords)
        self.fused_attn = False  # type: ignore[misc]  # final in timm's declaration alone
        try:
            return super().forward(x, *arguments, **keywords)
        finally:
            self.fused_attn = True  # type: ignore[misc]


def _explicit_is_faster(x: torch.Tensor) -> bool:
    if x.device.type != "cpu" or x.shape[1] > EXPLICIT_TOKENS or not torch.is_grad_enabled():
        return False
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
