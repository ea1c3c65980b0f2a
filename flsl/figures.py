"""What an encoder sees in a picture: principal components as colors, mean-shift attention, clusters."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from flsl.mean_shift import attention

# The published scale of the teacher's mean-shift (docs/method.md, "Mean-shift"), for every model, so that maps compare.
SCALE = 0.2 / 384**0.5


def principal_components(maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Project feature maps onto their three main directions and show them as colors.

    Args:
        maps: one `(D, h, w)` map an image, of one encoder. The directions are common to all, so a color means the same
            in every image.

    Returns:
        One `(h, w, 3)` picture a map, between 0 and 1: the 1st and 99th percentile of each direction.
    """
    tokens = torch.cat([_tokens(features) for features in maps]).double()
    centered = tokens - tokens.mean(dim=0)
    _, _, directions = torch.linalg.svd(centered, full_matrices=False)
    directions = directions[:3]
    # A direction's sign is arbitrary: let its largest element be positive, so that a picture is drawn the same twice.
    largest = directions.abs().argmax(dim=1, keepdim=True)
    colors = centered @ (directions * directions.gather(1, largest).sign()).T
    low, high = (torch.quantile(colors, share, dim=0) for share in (0.01, 0.99))
    colors = ((colors - low) / (high - low).clamp(min=1e-12)).clamp(0, 1).float()
    sizes = [features.shape[1] * features.shape[2] for features in maps]
    return [part.reshape(*features.shape[1:], 3) for part, features in zip(colors.split(sizes), maps)]


def point_attention(features: torch.Tensor, points: Sequence[tuple[float, float]]) -> torch.Tensor:
    """Return where the tokens at some points shift to: one mean-shift step's weights.

    Args:
        features: one `(D, h, w)` map.
        points: `(x, y)` as fractions of width and height, each in [0, 1).

    Returns:
        `(points, h, w)`; each map sums to 1.
    """
    _, rows, columns = features.shape
    tokens = _tokens(features)
    index = [int(y * rows) * columns + int(x * columns) for x, y in points]
    return attention(tokens[None, index], tokens[None], SCALE)[0].reshape(-1, rows, columns)


def cluster_maps(maps: Sequence[torch.Tensor], clusters: int) -> list[torch.Tensor]:
    """Cluster the directions of all tokens of one encoder by k-means (k-means++ start, 30 steps of Lloyd's).

    Args:
        maps: one `(D, h, w)` map an image; clusters are common to all of them.
        clusters: how many.

    Returns:
        One `(h, w)` int64 map an image.
    """
    tokens = F.normalize(torch.cat([_tokens(features) for features in maps]), dim=1)
    generator = torch.Generator().manual_seed(0)
    centers = tokens[torch.randint(len(tokens), (1,), generator=generator)]
    while len(centers) < clusters:
        distance = (1 - (tokens @ centers.T).amax(dim=1)).clamp(min=1e-12)
        centers = torch.cat([centers, tokens[torch.multinomial(distance, 1, generator=generator)]])
    for _ in range(30):
        label = (tokens @ centers.T).argmax(dim=1)
        sums = torch.zeros_like(centers).index_add_(0, label, tokens)
        occupied = sums.norm(dim=1, keepdim=True) > 0
        moved = torch.where(occupied, F.normalize(sums, dim=1), centers)
        if torch.equal(moved, centers):
            break
        centers = moved
    sizes = [features.shape[1] * features.shape[2] for features in maps]
    return [part.reshape(features.shape[1:]) for part, features in zip(label.split(sizes), maps)]


def match_clusters(
    labels: Sequence[torch.Tensor], reference: Sequence[torch.Tensor], clusters: int
) -> list[torch.Tensor]:
    """Renumber clusters so that they overlap most with another model's, the largest overlap first.

    Both are lists of `(h, w)` maps of the same images; grids may differ.
    """
    overlap = torch.zeros(clusters, clusters)
    for ours, theirs in zip(labels, reference):
        theirs = F.interpolate(theirs[None, None].float(), size=ours.shape, mode="nearest")[0, 0].long()
        overlap += torch.bincount((ours * clusters + theirs).flatten(), minlength=clusters**2).view(clusters, clusters)
    number = torch.zeros(clusters, dtype=torch.long)
    for _ in range(clusters):
        row, column = divmod(int(overlap.argmax()), clusters)
        number[row] = column
        overlap[row], overlap[:, column] = -1, -1
    return [number[part] for part in labels]


def _tokens(features: torch.Tensor) -> torch.Tensor:
    """Return `(D, h, w)` as `(h * w, D)`."""
    return features.flatten(1).T
