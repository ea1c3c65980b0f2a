"""From images to boxes, and the boxes on disk: `boxes.json` with [left, top, right, bottom] in pixels of each image."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from eval.detector.annotation_checks import are_numbers
from eval.detector.annotations import require_annotated_size
from eval.discovery.component import Box, box_around
from eval.discovery.data import ImageObjects
from eval.discovery.protocols import Protocol
from eval.json_text import parse_json
from eval.loading import load_ahead
from eval.normalization import normalize
from flsl.encoder import Encoder
from flsl.finite import require_finite
from flsl.runtime.errors import UserError
from flsl.runtime.files import read_file, write_text
from flsl.runtime.images import read_rgb
from flsl.runtime.stopwatch import Stopwatch

LARGEST = 256 << 20  # bytes of a file of boxes; those of 20,000 images are a million
MOST_TOKENS = 20_000  # of an image: every two of them are compared, which takes 10 GB here


def find_boxes(
    encoder: Encoder, images: Sequence[ImageObjects], protocol: Protocol, device: torch.device, watch: Stopwatch
) -> Iterator[tuple[str, Box]]:
    """Yield the name of each image and the box that is found in it.

    Images are encoded one by one at their own size, with zeros at the right and at the bottom up to whole patches.

    Raises:
        UserError: an image cannot be read, is not of the size that it is annotated with, or is too large.
    """
    config, patch = encoder.config, encoder.patch_size

    def load(image: ImageObjects) -> tuple[torch.Tensor, tuple[int, int]]:
        pixels = read_rgb(image.path)
        height, width = pixels.shape[:2]
        require_annotated_size(image.path, (width, height), image.size)
        if (tokens := -(-height // patch) * -(-width // patch)) > MOST_TOKENS:
            raise UserError(
                f"image {image.path} has {width}x{height} pixels, {tokens:,} patches of {patch}; every two of them are "
                f"compared, so that {MOST_TOKENS:,} is the most. The protocol resizes nothing: leave the image out."
            )
        normal = normalize(torch.from_numpy(pixels).permute(2, 0, 1), config.image_mean, config.image_std)
        return F.pad(normal, (0, -width % patch, 0, -height % patch)), (height, width)

    ahead = load_ahead(load, ([image] for image in images), lambda: watch.phase("waiting for images"))
    for image, ((pixels, size),) in zip(images, ahead):
        with watch.phase("features"), torch.inference_mode():
            given = pixels[None].to(device)
            keys = encoder.patch_keys(given)
            require_finite(keys, encoder, given, str(image.path))
        with watch.phase("discovery"):
            grid = (pixels.shape[1] // patch, pixels.shape[2] // patch)
            yield image.name, box_around(protocol.find(keys[0].float(), grid), patch, size)


def write_boxes(path: Path, boxes: Mapping[str, Sequence[float]]) -> None:
    """Write the boxes of images, a line each."""
    write_text(path, "{\n" + ",\n".join(f"{json.dumps(name)}: {list(boxes[name])}" for name in sorted(boxes)) + "\n}\n")


def read_boxes(path: Path) -> dict[str, list[float]]:
    """Read the boxes of images, anyone's.

    Raises:
        UserError: no such file, no JSON object of names, or what stands at a name is no box.
    """
    expected = 'Expected is a JSON object {"IMAGE": [left, top, right, bottom], ...}, in pixels.'
    try:
        boxes = parse_json(read_file(path, LARGEST))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error!s:.120}). {expected}") from error
    if not isinstance(boxes, dict):
        raise UserError(f"{path} holds no object. {expected}")
    for name, box in boxes.items():
        if not (isinstance(box, list) and len(box) == 4 and are_numbers(box, 1e9)):
            raise UserError(
                f"{path}: the box of {name!a:.80} must be four finite numbers, but is {box!r:.80}. {expected}"
            )
        if box[2] < box[0] or box[3] < box[1]:
            raise UserError(f"{path}: the box of {name!a:.80} ends before it begins: {box!r:.80}. {expected}")
    return boxes


def require_all(boxes: Mapping[str, object], names: Iterable[str], path: Path) -> None:
    """Raise UserError for the first image that lacks a box."""
    if missing := next((name for name in names if name not in boxes), None):
        raise UserError(f"{path} has no box for {missing}: every evaluated image needs one.")
