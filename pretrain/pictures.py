"""Pictures of what an encoder has learned, for TensorBoard."""

from contextlib import suppress
from pathlib import Path

import torch
import torch.nn.functional as F

from flsl.encoder import Encoder
from flsl.figures import cluster_maps, point_attention, principal_components
from flsl.runtime.errors import UserError
from pretrain.crops import decode
from pretrain.photometric import normalize

POINTS = ((0.5, 0.5), (0.25, 0.25))  # x, y as fractions
CLUSTERS = 6


@torch.no_grad()
def draw_pictures(encoder: Encoder, paths: list[Path], side: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Encode whole images, resized to squares, and draw what comes out.

    Args:
        encoder: the one that the method keeps.
        paths: images, shown from left to right.
        side: pixels of a side, a multiple of the patch size.

    Returns:
        Pictures `(3, side, len(paths) * side)` in 0..1: the image, principal components, clusters, and the mean-shift
        attention of each of `POINTS`. Images that cannot be read are left out; without any there is nothing.
    """
    read = []
    for path in paths:
        with suppress(UserError):  # an image that nobody has met yet; the run names it when it does
            read.append(decode(path).float()[None] / 255)
    if not read:
        return {}
    images = torch.cat([F.interpolate(i, (side, side), mode="bilinear", antialias=True) for i in read])
    training = encoder.training
    (features,) = encoder.eval().feature_maps(normalize(images.to(device)))  # without stochastic depth
    encoder.train(training)
    maps = list(features.float().cpu())
    colors = torch.rand(CLUSTERS, 3, generator=torch.Generator().manual_seed(0))
    rows = {
        "image": list(images),
        "principal components": [c.permute(2, 0, 1) for c in principal_components(maps)],
        "clusters": [colors[c].permute(2, 0, 1) for c in cluster_maps(maps, CLUSTERS)],
    }
    attention = [point_attention(of_image, POINTS) for of_image in maps]
    for index, point in enumerate(POINTS):
        weights = [a[index] / a[index].amax() for a in attention]
        rows[f"attention of {point}"] = [w.expand(3, -1, -1) for w in weights]
    return {name: torch.cat([_enlarge(tile, side) for tile in tiles], dim=2) for name, tiles in rows.items()}


def _enlarge(tile: torch.Tensor, side: int) -> torch.Tensor:
    return F.interpolate(tile[None].float(), (side, side), mode="nearest")[0]
