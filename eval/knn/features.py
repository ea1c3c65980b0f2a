"""Frozen features of the tokens inside each image's largest box."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from eval.detector.annotations import require_annotated_size
from eval.knn.boxes import boxes_in_crop, crop_corner, largest_box, resized_size, tokens_in_box
from eval.knn.data import Example
from eval.knn.protocol import Protocol
from eval.loading import load_ahead
from eval.normalization import normalize
from eval.progress import tracked
from flsl.encoder import Encoder
from flsl.finite import require_finite
from flsl.runtime.images import read_rgb


@dataclass(frozen=True)
class BoxFeatures:
    """Of n images that have a box inside the crop: features (n, tokens, D) of length 1, class names, paths."""

    features: torch.Tensor
    classes: list[str]
    paths: list[Path]


def extract(
    encoder: Encoder, examples: list[Example], protocol: Protocol, device: torch.device, batch_size: int, what: str
) -> BoxFeatures:
    """Encode images and keep the tokens inside their largest boxes; images without a box in the crop are left out.

    Args:
        encoder: in eval mode, on `device`.
        examples: images with boxes.
        protocol: sizes.
        device: of the encoder; the features come back to the CPU.
        batch_size: images at once.
        what: for the line of progress.

    Raises:
        UserError: an image cannot be read, or has not the size that its boxes are for.
    """
    constants = encoder.config.image_mean, encoder.config.image_std
    classes: list[str] = []
    paths: list[Path] = []
    # One block, filled as it goes: ImageNet's 1.3 million pictures are 18 GB at 384 numbers a token, and there is no second copy.
    features = torch.empty(len(examples), protocol.tokens, encoder.embed_dim)
    batches = [examples[start : start + batch_size] for start in range(0, len(examples), batch_size)]
    ahead = load_ahead(lambda example: load_image(example.path, example.boxes, protocol, example.size), batches)
    for batch, loaded in zip(batches, tracked(ahead, f"encoding {what}: batch", len(batches))):
        kept = []
        for example, (crop, boxes) in zip(batch, loaded):
            best = largest_box(boxes)
            if best is not None:
                kept.append((crop, tokens_in_box(boxes[best], encoder.patch_size, protocol)))
                classes.append(example.classes[best])
                paths.append(example.path)
        if not kept:
            continue
        pixels = torch.from_numpy(np.stack([crop for crop, _ in kept])).to(device)  # a quarter of what floats are
        index = torch.from_numpy(np.stack([tokens for _, tokens in kept])).to(device)
        with torch.inference_mode():
            given = normalize(pixels.permute(0, 3, 1, 2).contiguous(), *constants)
            tokens = encoder(given)  # (b, N, D)
            require_finite(tokens, encoder, given, f"{batch[0].path} and what follows")
            chosen = tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))
            features[len(classes) - len(kept) : len(classes)] = F.normalize(chosen, dim=-1).cpu()
    return BoxFeatures(features[: len(classes)], classes, paths)


def load_image(
    path: Path, boxes: np.ndarray, protocol: Protocol, annotated: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the crop (crop, crop, 3) uint8 RGB of an image and its boxes (n, 4) in the crop.

    Raises UserError if the image cannot be read, or has not the (width, height) that it is annotated with.
    """
    image = Image.fromarray(read_rgb(path))
    width, height = image.size
    require_annotated_size(path, image.size, annotated)
    size = resized_size(width, height, protocol.resize)
    resized = image.resize(size, Image.Resampling.BICUBIC)
    left, top = crop_corner(*size, protocol.crop)
    crop = resized.crop((left, top, left + protocol.crop, top + protocol.crop))
    return np.array(crop), boxes_in_crop(boxes, width, height, protocol)
