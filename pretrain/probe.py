"""The online probe: what the features are made of and worth, measured while they are learned.

No result depends on it. Every so many epochs it writes a line into log.jsonl, scalars `probe/...` into TensorBoard, and
says in plain words what goes wrong (docs/method.md, "Online probe").
"""

import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from flsl.components import Components, measure, without_place
from flsl.confusion import VOID, confusion, mean_iou
from flsl.encoder import Encoder
from flsl.label_transfer import patch_labels, transfer_labels
from flsl.pixels import pixel_tokens
from flsl.runtime.errors import UserError
from flsl.runtime.images import ImageError
from pretrain.crops import decode
from pretrain.diagnosis import diagnose
from pretrain.journal import Journal
from pretrain.labeled import Labeled, read_labeled
from pretrain.method import Method, find_method
from pretrain.photometric import normalize
from pretrain.recipe import Recipe

CHUNK = 8  # images encoded at once


class Probe:
    """Measures the encoder before the first step and, when called after each step, at every turn."""

    def __init__(self, recipe: Recipe, paths: list[Path], labeled: Path | None, device: torch.device):
        """Read what is looked at each time: some of the training images, and of labeled ones, if their folder is given.

        Raises:
            UserError: the labeled ones cannot be used, or no training image can be read; a few that cannot are left to
                the loop.
        """
        self.recipe, self.device = recipe, device
        side, count = recipe.views.global_size, recipe.probe.images
        images = []
        for index in np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int):
            try:
                image = decode(paths[index])[None].float() / 255
            except ImageError:
                continue
            images.append(F.interpolate(image, (side, side), mode="bilinear", antialias=True, align_corners=False))
        if not images:
            raise UserError(
                f"none of the {min(count, len(paths))} images that the probe looks at can be read, e.g. {paths[0]}"
            )
        self.images = normalize(torch.cat(images))
        self.labeled = read_labeled(labeled, side, count) if labeled else None

    def begin(self, encoder: Encoder, journal: Journal, first_step: int) -> None:
        """Look at the untrained `encoder`, or read what was found of it where `first_step` steps are done already; look again
        where a run ended between their state and its turn."""
        self.encoder, self.journal, self.last = encoder, journal, time.monotonic()
        found = {row["step"] + 1: row["probe"] for row in journal.rows() if "probe" in row}
        self.start = found.get(0)  # None where the probe was off in the beginning
        if not first_step:
            self.look(0)
        elif first_step not in found:
            self(first_step)

    def __call__(self, done: int) -> None:
        """Measure after `done` steps, if it is time."""
        section, per_epoch = self.recipe.probe, self.journal.steps_per_epoch
        turn = section.epochs and done % (section.epochs * per_epoch) == 0
        late = section.minutes and time.monotonic() - self.last >= 60 * section.minutes
        if turn or late or done == self.journal.total_steps:
            self.look(done)

    def look(self, done: int) -> None:
        """Measure, write down and say what is found."""
        found, self.last = self.measure(), time.monotonic()
        self.journal.note(done, found)
        untrained = self.start or {}
        words = ", ".join(_said(name, value, untrained.get(name)) for name, value in found.items())
        print(f"probe after {done} steps: {words}", flush=True)
        if not done:
            self.start = found
            return
        start = self.start or found  # nothing was found to compare with
        rows, advice = self.journal.rows(), Method.advice | find_method(self.recipe).advice
        losses, in_use = ([row[name] for row in rows if name in row] for name in ("loss", "centroids_in_use"))
        for sentence in diagnose(_components(start), _components(found), losses, advice, in_use):
            print(f"warning: probe after {done} steps: {sentence}", file=sys.stderr, flush=True)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the components of the features and, with labeled images, mIoU by transfer of their labels, in percent."""
        training = self.encoder.training
        self.encoder.eval()
        labeled = self.labeled
        found = asdict(measure(self.encode(self.images), self.images, self.recipe.attention_scale))
        if labeled:
            images = normalize(labeled.images)
            tokens, side = self.encode(images), images.shape[-1] // self.encoder.patch_size
            found["in_context_miou"] = in_context_miou(tokens, labeled)
            found["placeless_miou"] = in_context_miou(without_place(tokens, side, side).float(), labeled)
            found["pixels_miou"] = in_context_miou(pixel_tokens(images, self.encoder.patch_size), labeled)
        self.encoder.train(training)
        return found

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 tokens `(B, N, D)` of normalized images on the CPU; never by what is compiled for training's sizes."""
        tokens = (self.encoder.patch_tokens(part.to(self.device))[0] for part in images.split(CHUNK))
        return torch.cat([part.float().cpu() for part in tokens])


def in_context_miou(tokens: torch.Tensor, labeled: Labeled) -> float:
    """Return the mIoU in percent, where the first half of the images labels the second; tokens `(B, N, D)`.

    The halves are parts of an ordered list, so that neighboring frames of a video are on one side, but for the seam.
    Classes that are in neither truth nor prediction are left out.
    """
    side = round(tokens.shape[1] ** 0.5)
    half = len(tokens) // 2
    labels = patch_labels(labeled.masks[:half], (side, side), labeled.classes).flatten(0, 1)
    total = np.zeros((labeled.classes, labeled.classes), np.int64)
    for image, mask in zip(tokens[half:], labeled.masks[half:]):
        found = transfer_labels(image, tokens[:half].flatten(0, 1), labels)
        maps = found.T.reshape(1, -1, side, side)
        prediction = F.interpolate(maps, mask.shape, mode="bilinear", align_corners=False)[0].argmax(0)
        truth = torch.where(mask < labeled.classes, mask, VOID)
        total += confusion(truth.numpy(), prediction.numpy(), labeled.classes)
    return mean_iou(total, absent="left out")


def _components(found: dict[str, float]) -> Components:
    return Components(**{field.name: found[field.name] for field in fields(Components)})


def _said(name: str, value: float, before: float | None) -> str:
    scale, unit = (1, "") if name == "rank" else (1, " %") if name.endswith("miou") else (100, " %")
    untrained = "" if before is None else f" (untrained {scale * before:.1f})"
    return f"{name.replace('_', ' ')} {scale * value:.1f}{unit}{untrained}"
