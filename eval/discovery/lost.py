"""LOST: the token that resembles the fewest others is an object's, and so are those like it (Simeoni et al. 2021, arXiv 2109.14279)."""

import numpy as np
import torch

from eval.discovery.component import component_of


def find_object(keys: torch.Tensor, grid: tuple[int, int], patches: int) -> np.ndarray:
    """Return the object's tokens (h, w) bool.

    A token's degree is the number of other tokens with which its inner product is positive. The seed has the lowest one. Of
    the `patches` tokens of lowest degree, those with a positive product with the seed vote: marked is every token whose
    products with them sum to more than nothing.

    Args:
        keys: (h w, D) in raster order.
        grid: rows and columns.
        patches: how many tokens of lowest degree may vote.
    """
    products = keys @ keys.T  # (N, N)
    degree = (products > 0).sum(dim=1) - (products.diagonal() > 0).long()
    # Of equal degrees the published code takes what torch's sort puts first on a CPU: the seed may hang on it.
    ordered = (-degree.cpu().float()).argsort(descending=True).to(keys.device)  # (N,)
    seed, candidates = ordered[0], ordered[:patches]
    voters = candidates[products[seed, candidates] > 0]
    marked = products[voters].sum(dim=0) > 0
    return component_of(marked.view(grid).cpu().numpy(), int(seed))
