"""Overclustering: k-means on the tokens of the evaluated split; a cluster stands for the class most of its pixels have.

Nothing is learned from labels: standardized tokens are reduced by PCA and clustered, several seeds over
(docs/protocols.md, "Overclustering"; Leopart's `sup_overcluster.py`). Matching clusters to classes is part of the metric
(`eval.metrics.segmentation.match_clusters`).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from eval.metrics.segmentation import ImageConfusions, Matching, match_clusters, merge_clusters
from eval.progress import Progress
from eval.segment.protocols import Overclustering
from eval.segment.scoring import Scored, Scores, absent_warnings
from eval.segment.squares import square_pictures
from eval.segment.task import Task
from flsl.confusion import confusion, mean_iou
from flsl.runtime.errors import UserError
from results.bootstrap import percentile_interval

TOGETHER = True  # clusters are those of all evaluated images: predictions of a part of them serve no other part
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


def cluster(points: np.ndarray, protocol: Overclustering, seed: int) -> np.ndarray:
    """Return the cluster (n,) uint16 of each point (n, d) float32, by faiss's k-means on at most 256 points per cluster.

    Raises:
        UserError: there are fewer points than clusters.
    """
    import faiss

    count = protocol.clusters
    if len(points) < count:
        raise UserError(
            f"{len(points)} tokens cannot make {count} clusters: evaluate more images, or by a protocol of fewer clusters."
        )
    # Fewer points per cluster than faiss likes are no fault of a small split: it would say so on the terminal, for each seed.
    options = dict(niter=protocol.iterations, nredo=protocol.redos, seed=seed, min_points_per_centroid=1)
    kmeans = faiss.Kmeans(points.shape[1], count, **options)
    kmeans.train(points)
    _, nearest = kmeans.index.search(points, 1)
    return nearest[:, 0].astype(np.uint16)


def spread(clusters: np.ndarray, side: int) -> np.ndarray:
    """Resize maps of clusters (n, h, w) uint16 to (n, side, side) by torch's nearest neighbor."""
    maps = torch.from_numpy(clusters.astype(np.float32))[:, None]  # exact below 2^24
    return F.interpolate(maps, (side, side), mode="nearest")[:, 0].numpy().astype(np.uint16)


def predict(task: Task[Overclustering]) -> Iterator[tuple[int, str, np.ndarray]]:
    """Yield the index, the part (its seed) and the clusters (S, S) uint16 of every image, once for each seed.

    Raises:
        UserError: images or features that cannot be used, or too few tokens.
    """
    protocol = task.protocol
    tokens = task.store.tokens(square_pictures(task), first=max(task.chosen) + 1)
    with task.watch.phase("standardizing and PCA"):
        points = reduce_tokens(tokens.reshape(-1, tokens.shape[-1]), protocol.components)
    progress = Progress("k-means", len(protocol.parts))
    for number, part in enumerate(protocol.parts):
        with task.watch.phase("k-means"):
            found = cluster(points, protocol, task.run.seed + number)
        for image, maps in enumerate(spread(found.reshape(-1, *task.grid), protocol.mask_side)):
            yield image, part, maps
        progress.update(number + 1)


def score(scored: Scored, metrics: Sequence[str]) -> Scores:
    """Match clusters to classes over all images, once for each seed, and score the classes.

    Args:
        scored: predictions of clusters.
        metrics: the mean over the seeds, `mIoU_K...`, and `..._spread`, their standard deviation.

    Raises:
        UserError: a prediction or mask cannot be used.
    """
    protocol = scored.protocol
    assert isinstance(protocol, Overclustering)
    classes, kind = len(scored.classes), matching_of(protocol.clusters, len(scored.classes))
    seeds = [ImageConfusions(classes, protocol.clusters) for _ in protocol.parts]
    for image in scored.chosen:
        for part, images in zip(protocol.parts, seeds):
            truth, found = scored.pair(image, part, protocol.clusters)
            images.add(scored.split.names[image], confusion(truth, found, classes, protocol.clusters))
    matrices = [images.total() for images in seeds]
    matches = [match_clusters(matrix, kind) for matrix in matrices]
    merged = [merge_clusters(matrix, match) for matrix, match in zip(matrices, matches)]
    single = [mean_iou(matrix, protocol.absent) for matrix in merged]
    headline, spread_name = metrics
    values: dict[str, float | None] = {headline: float(np.mean(single)), spread_name: float(np.std(single, ddof=1))}

    def mean_of(images: np.ndarray) -> float:
        """Score images that were drawn with replacement; matched anew, duplicates would always look better."""
        times = np.bincount(images, minlength=len(scored.chosen))
        drawn = (merge_clusters(one.total(times), match) for one, match in zip(seeds, matches))
        return float(np.mean([mean_iou(matrix, protocol.absent) for matrix in drawn]))

    interval = percentile_interval(np.arange(len(scored.chosen)), mean_of, unit="images", seed=scored.seed)
    per_image = {}
    for number, name in enumerate(seeds[0].names):
        own = [merge_clusters(images.one(number), match) for images, match in zip(seeds, matches)]
        ious = [mean_iou(matrix, "left out") for matrix in own]
        if np.isfinite(ious).all():  # not all void
            per_image[name] = {headline: float(np.mean(ious))}
    text = ", ".join(f"{value:.2f}" for value in single)
    warnings = [
        f"mean over {len(single)} clusterings ({text}); pictures and tables are those of the first",
        *absent_warnings(merged[0], scored.classes, protocol),
    ]

    def first(image: int) -> np.ndarray:
        return matches[0][scored.pair(image, protocol.parts[0], protocol.clusters)[1]].astype(np.uint8)

    return Scores(values, {headline: interval}, per_image, merged[0], first, warnings)


def matching_of(clusters: int, classes: int) -> Matching:
    """Return how clusters are matched: one to one where there are as many as classes, else by precision."""
    return "one_to_one" if clusters == classes else "many_to_one_precision"
