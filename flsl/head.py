"""The projection head with K centroids."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from flsl.objective import HeadConfig


class CentroidLayer(nn.Module):
    """Weight-normalized linear layer without bias; its K rows are the centroids.

    Each row is `weight_g * weight_v / |weight_v|`; the magnitude `weight_g` stays 1 unless it is trainable.
    """

    def __init__(self, dim: int, centroids: int, train_magnitude: bool):
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(centroids, 1), requires_grad=train_magnitude)
        self.weight_v = nn.Parameter(torch.empty(centroids, dim))
        nn.init.trunc_normal_(self.weight_v, std=0.02)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map `(..., dim)` to `(..., centroids)`."""
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=1, keepdim=True))
        return F.linear(features, weight)


class Head(nn.Module):
    """MLP with GELU, L2 normalization, centroid layer (docs/method.md, "Head")."""

    def __init__(self, in_dim: int, config: HeadConfig):
        """Build with truncated normal weights (std 0.02) and zero biases; `layers` counts the MLP's linear layers."""
        super().__init__()
        dims = [in_dim, *[config.hidden_dim] * (config.layers - 1), config.bottleneck_dim]
        modules: list[nn.Module] = []
        for before, after in itertools.pairwise(dims):
            linear = nn.Linear(before, after)
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
            modules += [linear, nn.GELU()]
        self.mlp = nn.Sequential(*modules[:-1]) if config.layers > 1 else modules[0]
        self.last_layer = CentroidLayer(config.bottleneck_dim, config.centroids, not config.norm_last_layer)

    def forward(self, modes: torch.Tensor) -> torch.Tensor:
        """Return assignment logits `(..., K)` of modes `(..., D)`, not divided by a temperature."""
        return self.last_layer(F.normalize(self.mlp(modes), dim=-1))
