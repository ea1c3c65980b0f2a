"""Overclustering: k-means on the tokens of the evaluated split; a cluster stands for the class most of its pixels have.

Nothing is learned from labels: standardized tokens are reduced by PCA and clustered, several seeds over
(docs/protocols.md, "Overclustering"; Leopart's `sup_overcluster.py`). Matching clusters to classes is part of the metric
(`eval.metrics.segmentation.match_clusters`).
"""

from collections.abc import Iterator

import numpy as np
import torch

from eval.metrics.segmentation import Matching
from flsl.runtime.errors import UserError

# Of faiss's k-means, as Leopart calls it: the best of REDOS runs of ITERATIONS steps, on at most 256 tokens per cluster.
ITERATIONS, REDOS = 100, 5
CHUNK = 100_000  # tokens at once, where not all are needed


def reduce_tokens(tokens: np.ndarray, dimensions: int) -> np.ndarray:
    """Standardize tokens and project them on their first principal components.

    Args:
        tokens: (n, D) of any float type, a memory map too; it is left as it is.
        dimensions: of the result; all D where a token has fewer.

    Returns:
        (n, min(D, dimensions)) float32.

    Raises:
        UserError: a token is NaN or infinite.
    """
    import faiss

    mean, deviation = _statistics(tokens)
    standard = np.empty(tokens.shape, np.float32)
    for start in range(0, len(tokens), CHUNK):
        part = slice(start, start + CHUNK)
        standard[part] = (tokens[part].astype(np.float64) - mean) / deviation
    if not np.isfinite(standard).all():
        raise UserError(
            "tokens are NaN or infinite, so nothing can be clustered. Check the checkpoint: has it diverged?"
        )
    pca = faiss.PCAMatrix(standard.shape[1], min(dimensions, standard.shape[1]))
    pca.train(standard)
    return pca.apply(standard)


def _statistics(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (D,) float64 of the tokens; 1 for a dimension that never changes."""
    total = squares = np.zeros(tokens.shape[1])
    for start in range(0, len(tokens), CHUNK):
        total = total + tokens[start : start + CHUNK].sum(axis=0, dtype=np.float64)
    mean = total / len(tokens)
    for start in range(0, len(tokens), CHUNK):  # around the mean: no difference of large numbers
        squares = squares + ((tokens[start : start + CHUNK].astype(np.float64) - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / len(tokens))
    return mean, np.where(deviation > 0, deviation, 1.0)


def cluster(points: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Return the cluster (n,) uint16 of each point (n, d) float32, by k-means.

    Raises:
        UserError: there are fewer points than clusters.
    """
    import faiss

    if len(points) < clusters:
        raise UserError(
            f"{len(points)} tokens cannot make {clusters} clusters: take more images (--limit), or a protocol of fewer."
        )
    kmeans = faiss.Kmeans(points.shape[1], clusters, niter=ITERATIONS, nredo=REDOS, seed=seed)
    # The progress that faiss prints from C++ says nothing to a user.
    kmeans.train(points)
    _, nearest = kmeans.index.search(points, 1)
    return nearest[:, 0].astype(np.uint16)


def cluster_maps(points: np.ndarray, grid: tuple[int, int], mask_size: int, clusters: int, seed: int) -> np.ndarray:
    """Cluster the tokens of images and spread the clusters over masks, by nearest neighbor.

    Args:
        points: (images * rows * columns, d) float32, image by image in raster order.
        grid: rows and columns of tokens.
        mask_size: side of the masks in pixels.
        clusters: number of clusters.
        seed: of k-means.

    Returns:
        (images, mask_size, mask_size) uint16.
    """
    found = torch.from_numpy(cluster(points, clusters, seed).astype(np.int32)).view(-1, 1, *grid)
    return spread(found, mask_size).numpy().astype(np.uint16)


def spread(maps: torch.Tensor, side: int) -> torch.Tensor:
    """Resize maps of numbers (n, 1, h, w) below 2^24 to (n, side, side) by nearest neighbor, as torch rounds."""
    return torch.nn.functional.interpolate(maps.float(), (side, side), mode="nearest")[:, 0].to(maps.dtype)


def predict(
    tokens: np.ndarray, *, dimensions: int, mask_size: int, clusters: int, seeds: int, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield one clustering of all images per seed, (images, mask_size, mask_size) uint16.

    Args:
        tokens: (images, rows, columns, D).
        dimensions: after PCA.
        mask_size: side of the masks in pixels.
        clusters: K.
        seeds: clusterings in all; they are seeded `seed`, `seed + 1`, ...
        seed: the first one.
    """
    rows, columns, width = tokens.shape[1:]
    points = reduce_tokens(tokens.reshape(-1, width), dimensions)
    for number in range(seed, seed + seeds):
        yield cluster_maps(points, (rows, columns), mask_size, clusters, number)


def matching_of(clusters: int, classes: int) -> Matching:
    """Return how clusters are matched: one to one where there are as many as classes, else by precision."""
    return "one_to_one" if clusters == classes else "many_to_one_precision"
