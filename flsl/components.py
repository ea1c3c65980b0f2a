"""What an encoder's tokens are made of: how many directions they use, and what explains their variance.

Loss and entropy of assignments show neither features that collapse nor tokens that only say where they lie; these numbers
do (docs/method.md, "Online probe").
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from flsl.mean_shift import attention


@dataclass(frozen=True)
class Components:
    """Shares are of the tokens' variance around their mean, 0..1; they overlap and need not sum to 1."""

    rank: float  # effective rank: directions in use
    between_images: float  # explained by which image a token is of
    place: float  # by a quadratic of the token's place in the view
    color: float  # by a quadratic of the mean color of the token's patch
    attended: float  # share of a view's tokens that a query's mean-shift spreads over; 1 is all of them alike


def measure(tokens: torch.Tensor, images: torch.Tensor, scale: float) -> Components:
    """Measure tokens `(B, N, D)`, in raster order on a grid `(h, w)`, of images `(B, 3, H, W)` of any normalization.

    `scale` is the mean-shift's inverse temperature. Computed in float64 on the tokens' device.
    """
    tokens, images = tokens.double(), images.to(tokens).double()
    side = round((images.shape[2] * images.shape[3] / tokens.shape[1]) ** 0.5)
    rows, columns = images.shape[2] // side, images.shape[3] // side
    place = place_terms(rows, columns).to(tokens).repeat(len(tokens), 1)
    colors = F.avg_pool2d(images, side).flatten(2).transpose(1, 2).flatten(0, 1)
    return Components(
        rank=effective_rank(tokens),
        between_images=share_between_images(tokens),
        place=share_explained(tokens, place),
        color=share_explained(tokens, quadratic(colors)),
        attended=share_attended(tokens, scale),
    )


def effective_rank(tokens: torch.Tensor) -> float:
    """Return the exponential of the entropy of the normalized squared singular values of centered tokens `(..., D)`.

    Between 1 and D; tokens that are all alike have 1.
    """
    energy = torch.linalg.svdvals(_centered(tokens)).square()
    share = energy / energy.sum().clamp_min(1e-300)
    return float(torch.special.entr(share).sum().exp())


def share_between_images(tokens: torch.Tensor) -> float:
    """Return the share of the variance of tokens `(B, N, D)` that lies between the means of the images."""
    means = tokens.mean(dim=1, keepdim=True).expand_as(tokens)
    return _share(_centered(means), _centered(tokens))


def share_explained(tokens: torch.Tensor, terms: torch.Tensor) -> float:
    """Return the share of the variance of tokens `(..., D)` that a linear fit of `terms` `(rows, T)` explains (R^2).

    A row of `terms` belongs to each token, in order; terms that depend on each other are allowed.
    """
    centered = _centered(tokens)
    return _share(_fit(centered, terms), centered)


def without_place(tokens: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Return tokens `(B, N, D)` of a grid less what a quadratic of their place explains of them, in float64."""
    flat = tokens.double().flatten(0, 1)
    terms = place_terms(rows, columns).to(flat).repeat(len(tokens), 1)
    return (flat - _fit(flat - flat.mean(dim=0), terms)).reshape(tokens.shape)


def share_attended(tokens: torch.Tensor, scale: float) -> float:
    """Return how many of a view's tokens `(B, N, D)` the mean-shift of each attends to, as a share of N.

    That number is the exponential of the attention's entropy, averaged over tokens.
    """
    numbers = [torch.special.entr(attention(one[None], one[None], scale)).sum(-1).exp().mean() for one in tokens]
    return float(torch.stack(numbers).mean()) / tokens.shape[1]


def place_terms(rows: int, columns: int) -> torch.Tensor:
    """Return x, y, x^2, x y, y^2 of the places of a grid in raster order, `(rows * columns, 5)`, both axes -1..1."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    return quadratic(torch.stack([x.flatten(), y.flatten()], dim=1))


def quadratic(values: torch.Tensor) -> torch.Tensor:
    """Return values `(R, C)` and all their products of two, `(R, C + C (C + 1) / 2)`."""
    first, second = torch.triu_indices(values.shape[1], values.shape[1])
    return torch.cat([values, values[:, first] * values[:, second]], dim=1)


def _fit(centered: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
    """Return the best linear fit of `terms` `(R, T)` and a constant to `(R, D)`."""
    terms = torch.cat([torch.ones_like(terms[:, :1]), terms], dim=1)
    left, values, _ = torch.linalg.svd(terms, full_matrices=False)
    basis = left[:, values > 1e-9 * values[0]]
    return basis @ (basis.T @ centered)


def _centered(tokens: torch.Tensor) -> torch.Tensor:
    flat = tokens.reshape(-1, tokens.shape[-1]).double()
    return flat - flat.mean(dim=0)


def _share(part: torch.Tensor, whole: torch.Tensor) -> float:
    return float(part.square().sum() / whole.square().sum().clamp_min(1e-300))
