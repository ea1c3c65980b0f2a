"""In-context segmentation: a token gets the classes of the most similar tokens of the training images.

Of each token of an evaluated image the 30 entries of largest cosine are found in the memory; softmax(cosine / 0.02) weighs
their class shares. The result is resized to the mask bilinearly and the largest class taken (docs/protocols.md,
"In-context").
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import adjust_brightness, adjust_contrast, adjust_saturation

from eval.normalization import normalize
from eval.progress import Progress
from eval.search import Index
from eval.segment.crops import adjust_hue, shrink_mask, squash
from eval.segment.memory import Memory, lengths_of, patch_classes, sample_order
from eval.segment.protocols import InContext
from eval.segment.squares import square_identity, square_pictures
from eval.segment.task import Task
from eval.segment.tokens import Pictures
from flsl.random_crop import Box, draw_box
from flsl.runtime.errors import UserError

BOX, COLORS, ORDER = range(3)  # what random numbers are drawn for


def transfer_labels(queries: Tensor, memory: Memory, index: Index, *, neighbors: int, temperature: float) -> Tensor:
    """Return the class shares (q, C) float32 of tokens; `flsl.label_transfer` computes the same by one matrix.

    Args:
        queries: (q, D) float32 as the encoder gives them.
        memory: what is known.
        index: of its features.
        neighbors: how many of its entries vote; all where it has fewer.
        temperature: of their weights.
    """
    normalized = F.normalize(queries, dim=1)
    cosines, entries = index.nearest(normalized, min(neighbors, len(index)))
    weights = (cosines / temperature).softmax(dim=1)
    return torch.einsum("qn,qnc->qc", weights, memory.shares(entries))


def to_mask(shares: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Return the classes (H, W) uint8 of an image whose tokens have class shares (rows, columns, C)."""
    resized = F.interpolate(shares.permute(2, 0, 1)[None], shape, mode="bilinear", align_corners=False)
    return resized[0].argmax(dim=0).to(torch.uint8).cpu().numpy()


def predict(task: Task[InContext]) -> Iterator[tuple[int, str, np.ndarray]]:
    """Yield the index, the part ("") and the classes (S, S) uint8 of each image that is to do.

    Raises:
        UserError: images, masks or features that cannot be used.
    """
    protocol, side, grid = task.protocol, task.side, task.grid
    queries = task.store.tokens(val_pictures(task), first=max(task.todo) + 1)
    memory = remember(task)
    with task.watch.phase("index"):
        index = Index(memory.features, memory.lengths)
    progress = Progress("label transfer", len(task.todo))
    for done, image in enumerate(task.todo, start=1):
        with task.watch.phase("search"), torch.inference_mode():
            tokens = torch.from_numpy(queries[image].astype(np.float32)).to(task.device)
            shares = transfer_labels(
                tokens, memory, index, neighbors=protocol.neighbors, temperature=protocol.temperature
            )
        with task.watch.phase("resizing"):
            mask = to_mask(shares.unflatten(0, grid), (side, side))
        yield image, "", mask
        progress.update(done)


def remember(task: Task[InContext]) -> Memory:
    """Encode the training images, pass by pass, and return the memory on the task's device."""
    protocol, images = task.protocol, len(task.train)
    kept = min(math.prod(task.grid), protocol.memory // (images * protocol.passes))
    if not kept:
        raise UserError(
            f"--protocol {protocol.name}: a memory of {protocol.memory} tokens holds none of {images} training images in "
            f"{protocol.passes} passes. Choose a protocol of a larger memory."
        )
    shape = (protocol.passes, images, kept)
    features = np.empty((*shape, task.loaded.encoder.embed_dim), np.float16)
    labels = np.empty((*shape, len(task.data.classes)), np.int16)
    for number in range(protocol.passes):
        masks = TrainMasks(task, number, kept)
        features[number] = task.store.tokens(train_pictures(task, number, masks))
        with task.watch.phase("masks"):
            progress = Progress(f"masks of pass {number + 1}", images)
            for image in range(images):
                labels[number, image] = masks.kept_labels(image)
                progress.update(image + 1)
    flat = torch.from_numpy(features).flatten(0, 2)
    known = torch.from_numpy(labels).flatten(0, 2)
    return Memory(flat, known, lengths_of(flat)).to(task.device)


class TrainMasks:
    """Class pixels under the tokens of training images in one pass, and which tokens a bounded memory takes."""

    def __init__(self, task: Task[InContext], number: int, kept: int):
        """`number` is the pass, `kept` the tokens of an image that are kept."""
        self.task, self.number, self.kept = task, number, kept
        self._kept: dict[int, np.ndarray] = {}

    def order(self, image: int) -> np.ndarray:
        """Return the tokens (kept,) of an image that are kept, best first."""
        task = self.task
        mask = task.train.mask(image)
        left, top, right, bottom = _box(task, self.number, image, mask.shape)
        square = shrink_mask(mask[top:bottom, left:right], task.side)
        labels = patch_classes(square[None], task.patch_size, len(task.data.classes))[0]
        order = sample_order(labels, _random(task, self.number, image, ORDER))[: self.kept]
        self._kept[image] = labels[order]
        return order

    def kept_labels(self, image: int) -> np.ndarray:
        """Return the pixels of each class under the kept tokens of an image, (kept, C) int16."""
        if image not in self._kept:
            self.order(image)
        return self._kept.pop(image)


def val_pictures(task: Task[InContext]) -> Pictures:
    """Return the evaluated images, squashed to the square, with the protocol's mean and deviation."""
    return square_pictures(task, task.protocol.mean, task.protocol.std)


def train_pictures(task: Task[InContext], number: int, masks: TrainMasks) -> Pictures:
    """Return the training images as pass `number` draws them: a random resized crop with changed colors."""
    protocol, side = task.protocol, task.side

    def load(image: int) -> Tensor:
        pixels = task.train.image(image)
        left, top, right, bottom = _box(task, number, image, pixels.shape[:2])
        crop = squash(pixels[top:bottom, left:right], (side, side))
        changed = change_colors(crop, protocol, _random(task, number, image, COLORS))
        return normalize(changed, protocol.mean, protocol.std)

    identity = square_identity(task.train, side, protocol.mean, protocol.std) | {
        "pass": number,
        "seed": task.run.seed,
        "area": protocol.area,
        "jitter": (protocol.jitter, protocol.jitter_probability),
        # Which tokens come first depends on what the classes are.
        "classes": task.data.classes,
    }
    name = f"{task.train.name}, pass {number + 1} of {protocol.passes}"
    return Pictures(name, identity, len(task.train), load, task.grid, masks.order, masks.kept)


def change_colors(image: Tensor, protocol: InContext, random: np.random.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue of (3, H, W) uint8, each in a share of the draws."""
    for change, center in ((adjust_brightness, 1), (adjust_contrast, 1), (adjust_saturation, 1), (adjust_hue, 0)):
        if random.random() < protocol.jitter_probability:
            image = change(image, center + random.uniform(-protocol.jitter, protocol.jitter))
    return image


def _random(task: Task[InContext], number: int, image: int, what: int) -> np.random.Generator:
    """Return the random numbers of one image in one pass, which depend on nothing else."""
    return np.random.default_rng([task.run.seed, number, image, what])


def _box(task: Task[InContext], number: int, image: int, shape: Sequence[int]) -> Box:
    """Draw the crop of a training image (height, width)."""
    return draw_box(shape[1], shape[0], task.protocol.area, _random(task, number, image, BOX))
