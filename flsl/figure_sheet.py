"""One sheet a picture: a row for each checkpoint, with principal components, clusters and attention side by side."""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flsl.checkpoint import LoadedEncoder
from flsl.figures import cluster_maps, match_clusters, point_attention, principal_components
from flsl.runtime.apart import require_apart
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic
from flsl.runtime.images import LONGEST, is_ribbon, read_rgb

DRAWN = 1000  # pixels of the longer side of a picture, at most, on a sheet of which each cell has a few hundred


@torch.no_grad()
def feature_map(loaded: LoadedEncoder, picture: Image.Image, side: int, block: int | None) -> torch.Tensor:
    """Return the `(D, h, w)` features of a picture whose shorter side is scaled to about `side` pixels.

    Both sides become multiples of the encoder's patch; colors are normalized as in its pretraining.
    """
    encoder, config = loaded.encoder, loaded.encoder.config
    factor = side / min(picture.size)
    width, height = (
        max(2, round(length * factor / encoder.patch_size)) * encoder.patch_size for length in picture.size
    )
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    mean, std = (np.array(constants, np.float32) for constants in (config.image_mean, config.image_std))
    pixels = (pixels - mean) / std
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    device = next(chain(encoder.parameters(), encoder.buffers())).device
    return encoder.feature_maps(images.to(device), None if block is None else [block])[0][0].float().cpu()


def draw_sheets(
    checkpoints: Sequence[LoadedEncoder],
    pictures: Sequence[Path],
    out: Path,
    *,
    points: Sequence[tuple[float, float]],
    clusters: int = 6,
    side: int = 448,
    block: int | None = None,
) -> list[Path]:
    """Draw a sheet for each picture into the folder `out`; returns the files.

    Principal components and clusters are computed over all pictures of a checkpoint; clusters take the colors of the
    first checkpoint's that they overlap most.

    Raises:
        UserError: a picture that cannot be read or is too long and narrow, or a block that an encoder does not have.
    """
    images = [_read(path) for path in pictures]
    rows: list[tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]] = []
    for loaded in checkpoints:
        maps = [feature_map(loaded, image, side, block) for image in images]
        labels = cluster_maps(maps, clusters)
        if rows:
            labels = match_clusters(labels, rows[0][1], clusters)
        rows.append((principal_components(maps), labels, [point_attention(features, points) for features in maps]))
    files = []
    for index, (path, image) in enumerate(zip(pictures, images)):
        row = [(components[index], labels[index], weights[index]) for components, labels, weights in rows]
        target = out / f"{path.stem}.png"
        target = out / f"{path.parent.name}_{path.stem}.png" if target in files else target
        require_apart(target, {}, {"the picture": path})
        image.thumbnail((DRAWN, DRAWN))  # the features are there; a camera's every pixel takes long to draw
        draw = partial(_draw, image=image, rows=row, checkpoints=checkpoints, points=points)
        files.append(write_atomic(target, draw))
    return files


def _read(path: Path) -> Image.Image:
    """Read a picture of a shape that fits into memory as tokens."""
    image = Image.fromarray(read_rgb(path))
    if is_ribbon(image.size):
        raise UserError(
            f"{path}: {image.width}x{image.height} pixels are more than {LONGEST} times as long as wide, too many tokens to "
            "look at. Cut the picture, or leave it out."
        )
    return image


def _draw(target: Path, image: Image.Image, rows: list, checkpoints: Sequence[LoadedEncoder], points: Sequence) -> None:
    """Draw one sheet."""
    from matplotlib.figure import Figure

    titles = ["", "principal components", "clusters", *(f"attention of point {n + 1}" for n in range(len(points)))]
    cell = 2.6
    shape = (cell * len(titles), (cell * image.height / image.width + 0.35) * len(rows))
    figure = Figure(figsize=shape, layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    extent = (0, image.width, image.height, 0)
    gray = np.asarray(image.convert("L"))
    for row, (loaded, (components, labels, weights)) in enumerate(zip(checkpoints, rows)):
        cells = axes[row]
        cells[0].imshow(image)
        for number, (x, y) in enumerate(points):
            cells[0].annotate(str(number + 1), (x * image.width, y * image.height), color="white", ha="center", va="center",
                              fontsize=8, bbox={"boxstyle": "circle,pad=0.2", "facecolor": "black", "alpha": 0.7})  # fmt: skip
        cells[1].imshow(components, extent=extent, interpolation="nearest")
        cells[2].imshow(labels, extent=extent, interpolation="nearest", cmap="tab10", vmin=-0.5, vmax=9.5)
        for column, (x, y), weight in zip(cells[3:], points, weights):
            column.imshow(gray, cmap="gray")
            column.imshow(weight / weight.max(), extent=extent, interpolation="nearest", cmap="inferno", alpha=0.65)
            column.plot(x * image.width, y * image.height, "c+", markersize=9, markeredgewidth=1.6)
        for column, title in zip(cells, titles):
            column.set_axis_off()
            column.set_title(title if row == 0 else "", fontsize=9)
        cells[0].set_title(loaded.name, fontsize=9, loc="left")
    figure.savefig(target, dpi=110)
