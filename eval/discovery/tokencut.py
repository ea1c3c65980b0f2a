"""TokenCut: the object is one side of a normalized cut of the graph of tokens (Wang et al. 2022, arXiv 2202.11539)."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackError, aslinearoperator, eigsh

from eval.discovery.component import component_of

APART = 1e-6  # between the second and the third eigenvalue; where they are closer, vectors of both are as good
ALIKE = 1e-8  # share of the largest entry by which two computations of one vector may differ; they agree far closer


def find_object(keys: torch.Tensor, grid: tuple[int, int], threshold: float, weak: float) -> np.ndarray:
    """Return the object's tokens (h, w) bool.

    Args:
        keys: (h w, D) in raster order.
        grid: rows and columns.
        threshold: cosine above which two tokens are joined by an edge of weight 1.
        weak: weight of all other edges.
    """
    if len(keys) < 3:  # nothing to cut
        return np.ones(grid, bool)
    directions = F.normalize(keys, dim=1)
    joined = (directions @ directions.T > threshold).cpu().numpy()
    weights = np.where(joined, 1.0, weak)
    vector = second_vector(weights)
    found = part_of_largest(vector, grid)
    largest, mean = np.abs(vector).max(), vector.mean()
    tied = np.abs(vector) >= (1 - ALIKE) * largest  # tokens with the same neighbors have the same entry
    if not found[tied.reshape(grid)].all() or (np.abs(vector - mean) <= ALIKE * largest).any():
        # Rounding decides: that of the published computation then.
        return part_of_largest(second_vector_plain(weights), grid)
    return found


def part_of_largest(vector: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return the tokens (h, w) bool that hang together with the one of the largest entry (of any sign), on its side of the mean."""
    marked, seed = vector > vector.sum() / len(vector), int(np.abs(vector).argmax())
    # The sign of an eigenvector says nothing: the object is the side of the largest entry.
    return component_of((marked if marked[seed] else ~marked).reshape(grid), seed)


def second_vector(weights: np.ndarray) -> np.ndarray:
    """Return what `second_vector_plain` does, up to sign and length, by Lanczos iterations: a tenth of the time or less.

    Where the second eigenvalue is hardly a single one, or nothing converges, the plain way is taken, which the published code has.
    """
    if len(weights) < 4:  # too few for three of their vectors
        return second_vector_plain(weights)
    scale = 1 / np.sqrt(weights.sum(axis=1))
    # x = scale * its eigenvector, lambda = 1 - its value
    normalized = aslinearoperator(scale[:, None] * weights * scale)
    start = np.random.default_rng(0).standard_normal(len(weights))
    try:
        values, vectors = eigsh(normalized, k=3, which="LA", v0=start, tol=0)  # ascending
    except ArpackError:  # not converged
        return second_vector_plain(weights)
    return scale * vectors[:, 1] if values[1] - values[0] > APART else second_vector_plain(weights)


def second_vector_plain(weights: np.ndarray) -> np.ndarray:
    """Return the generalized eigenvector (N,) of the second smallest eigenvalue of (D - W) x = lambda D x.

    Args:
        weights: W (N, N) symmetric and positive, N at least 3; D is the diagonal of its sums.
    """
    degrees = np.diag(weights.sum(axis=1))
    # With the third one, as in the published code: alone it may be another vector where both eigenvalues are equal.
    return eigh(degrees - weights, degrees, subset_by_index=[1, 2])[1][:, 0]
