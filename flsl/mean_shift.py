"""Mean-shift: the attention of queries to the tokens of a view, and the mode that they shift to."""

import torch

Scalar = float | torch.Tensor  # a scheduled value: a number, or a tensor without dimensions that stays on the device


def attention(queries: torch.Tensor, tokens: torch.Tensor, scale: Scalar) -> torch.Tensor:
    """Return `softmax(scale * q Z^T)`, `(B, Q, N)`; nothing is normalized before (docs/method.md, "Mean-shift")."""
    return torch.softmax(scale * (queries @ tokens.transpose(1, 2)), dim=-1)


def mean_shift(queries: torch.Tensor, tokens: torch.Tensor, scale: Scalar) -> torch.Tensor:
    """Shift queries `(B, Q, D)` to the modes `(B, Q, D)` of tokens `(B, N, D)`.

    `scale` multiplies the logits, so it is an inverse temperature.
    """
    return attention(queries, tokens, scale) @ tokens


def sharpened_attention(queries: torch.Tensor, tokens: torch.Tensor, scale: float, sharpness: float) -> torch.Tensor:
    """Return the semantic constraint of an earlier stage, `(B, Q, N)`: attention pushed towards 0 or 1, sum 1.

    With a the attention, this is `sigmoid(sharpness * (a - mean(a)))` over its sum. As every row of a sums to 1, the
    mean is 1 / N.
    """
    weights = attention(queries, tokens, scale)
    weights = torch.sigmoid(sharpness * (weights - weights.mean(dim=-1, keepdim=True)))
    return weights / weights.sum(dim=-1, keepdim=True)


def mix_attention(weights: torch.Tensor, constraint: torch.Tensor, mix: Scalar) -> torch.Tensor:
    """Return `mix * weights + (1 - mix) * constraint`, renormalized to sum 1 over the tokens."""
    mixed = mix * weights + (1 - mix) * constraint
    return mixed / mixed.sum(dim=-1, keepdim=True)
