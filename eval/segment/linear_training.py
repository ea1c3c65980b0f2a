"""Train a linear head on a frozen encoder: batches drawn ahead, a state to go on from, progress, and errors in words.

What a step sees depends on the seed and its number alone, so a training that was interrupted ends with the same bytes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from eval.loading import load_ahead
from eval.progress import Progress
from eval.segment.datasets import Split
from eval.segment.linear_head import LinearHead, counted_pixels, draw_example, make_optimizer, token_map
from eval.segment.protocols import Linear, LinearDinoV3
from flsl.confusion import VOID
from flsl.encoder import Encoder
from flsl.runtime.errors import UserError
from flsl.runtime.files import write_tensors
from flsl.runtime.preemption import Preempted, StopSignal
from flsl.runtime.stopwatch import Stopwatch
from flsl.runtime.text import shorten

STATE = "head_state.pt"
HEAD = "head.pt"
SAVE_EVERY = 30.0  # seconds
ORDER, CROPS, DROPOUT = range(3)  # what random numbers are drawn for


@dataclass
class HeadTraining:
    """The training of one head; `run` does what is still to do."""

    protocol: Linear
    encoder: Encoder  # in eval mode, on `device`
    split: Split
    classes: int
    out: Path  # folder of the state, and of the head in the end
    device: torch.device
    seed: int = 0
    at_once: int | None = None  # images that are encoded at once; changes no result by more than rounding
    watch: Stopwatch = field(default_factory=Stopwatch)

    def run(self) -> LinearHead:
        """Return the trained head, from `out` where it is there already.

        Raises:
            UserError: data or weights that cannot be used, a loss that is no number, or a broken state.
            Preempted: a signal asked to stop; the state is saved.
        """
        batch_norm = isinstance(self.protocol, LinearDinoV3)
        head = LinearHead(self.encoder.embed_dim, self.classes, batch_norm, self.seed).to(self.device)
        total = self.protocol.steps(len(self.split))
        optimizer = make_optimizer(self.protocol, head)
        if (self.out / HEAD).is_file():
            self._restore(HEAD, head)
            return head
        first = 0
        if (self.out / STATE).is_file():
            first = self._restore(STATE, head, optimizer)
            print(f"the training of the head goes on after step {first} of {total}")
        self._train(head, optimizer, first, total)
        write_tensors(self.out / HEAD, {"step": total, "head": head.state_dict()})
        (self.out / STATE).unlink(missing_ok=True)
        return head

    def _train(self, head: LinearHead, optimizer: torch.optim.Optimizer, first: int, total: int) -> None:
        """Do the steps from `first` on."""
        head.train()
        saved = time.perf_counter()
        progress = Progress("training the head: step", total, first)
        with StopSignal() as stop:
            for step, (images, labels, names) in zip(range(first, total), self._batches(first, total)):
                loss = self._step(head, optimizer, step, images, labels, names)
                now = time.perf_counter()
                if stop.requested or now - saved > SAVE_EVERY:
                    state = {"step": step + 1, "head": head.state_dict(), "optimizer": optimizer.state_dict()}
                    write_tensors(self.out / STATE, state)
                    saved = now
                if stop.requested:
                    raise Preempted(f"stopped after step {step + 1}/{total}; the same command goes on from there")
                progress.update(step + 1, f"loss {loss:.4f}  lr {optimizer.param_groups[0]['lr']:.1e}  ")

    def _step(
        self,
        head: LinearHead,
        optimizer: torch.optim.Optimizer,
        step: int,
        images: torch.Tensor,
        labels: torch.Tensor,
        names: list[str],
    ) -> float:
        """Do one step; returns its loss."""
        with self.watch.phase("encoding of training images"):
            at_once = self.at_once or (4 if self.device.type == "cpu" else 32)
            what = f"step {step + 1}, images {shorten(names, 3)}"
            parts = [token_map(self.encoder, part.to(self.device), what) for part in images.split(at_once)]
            tokens = torch.cat(parts)
        with self.watch.phase("training of the head"), torch.backends.cudnn.flags(enabled=True, deterministic=True):
            rate = self.protocol.rate(step, len(self.split))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            logits = head(tokens, self._kept(step, tokens))
            loss = backward(logits, labels.to(self.device), max(counted_pixels(self.protocol, labels), 1))
            if not np.isfinite(loss):
                raise UserError(
                    f"{what}: the loss is {loss} (learning rate {rate:.1e}), so the head cannot be trained. The encoder's "
                    "features are numbers, but may be huge: check the checkpoint."
                )
            optimizer.step()
        return loss

    def _kept(self, step: int, tokens: torch.Tensor) -> torch.Tensor | None:
        """Draw which channels of a step's images dropout keeps, and how much they grow for it: (B, D)."""
        share = self.protocol.dropout
        if not share:
            return None
        kept = np.random.default_rng([self.seed, DROPOUT, step]).random(tuple(tokens.shape[:2])) >= share
        return torch.from_numpy(kept / (1 - share)).to(tokens)

    def _batches(self, first: int, total: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, list[str]]]:
        """Yield the images, labels and names of each step; the next ones are read in threads meanwhile."""
        drawn = ([(step, index) for index in self._drawn(step)] for step in range(first, total))
        for examples in load_ahead(self._example, drawn, partial(self.watch.phase, "waiting for training images")):
            images, labels, names = zip(*examples)
            yield torch.stack(images), torch.stack(labels), list(names)

    def _drawn(self, step: int) -> list[int]:
        """Return the indices of a step's images: an epoch takes every image once, and leaves out what fills no batch."""
        batch = self.protocol.batch(len(self.split))
        epoch, place = divmod(step, len(self.split) // batch)
        order = np.random.default_rng([self.seed, ORDER, epoch]).permutation(len(self.split))
        return order[place * batch : (place + 1) * batch].tolist()

    def _example(self, drawn: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, str]:
        """Return the image, labels and name of an image that a step has drawn: the step's number, and the image's."""
        step, index = drawn
        random = np.random.default_rng([self.seed, CROPS, step, index])
        image, mask = self.split.image(index), self.split.mask(index)
        return *draw_example(self.protocol, image, mask, random, self.encoder), self.split.names[index]

    def _restore(self, name: str, head: LinearHead, optimizer: torch.optim.Optimizer | None = None) -> int:
        """Take up a saved head, and its optimizer; returns how many steps are done."""
        path = self.out / name
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            head.load_state_dict(state["head"])
            if optimizer is not None:
                optimizer.load_state_dict(state["optimizer"])
            return state["step"]
        except Exception as error:  # torch raises anything on a damaged file
            reason = (str(error).strip().splitlines() or ["it is empty"])[0]
            raise UserError(f"{path} cannot be read ({reason:.160}). Delete it: the training starts anew.") from error


def backward(logits: torch.Tensor, labels: torch.Tensor, counted: int) -> float:
    """Add to the gradients the cross entropy of logits that are resized bilinearly to the labels; returns its value.

    One image at a time: resized logits of a whole batch would be gigabytes (150 classes at 512 x 512). They are resized by
    matrix products, whose gradients have the same bytes every time; torch's interpolation adds them up in any order on a GPU.

    Args:
        logits: `(B, C, h, w)`.
        labels: `(B, H, W)` uint8; void has no loss.
        counted: pixels that the sum is divided by.
    """
    held = logits.detach().requires_grad_()
    rows, columns = (
        F.interpolate(torch.eye(n, device=logits.device)[None], size, mode="linear", align_corners=False)[0]
        for n, size in zip(logits.shape[2:], labels.shape[1:])
    )  # (h, H) and (w, W)
    total = torch.zeros((), device=logits.device)
    for image, mask in zip(held, labels):
        resized = rows.T @ image @ columns  # (C, H, W)
        loss = F.cross_entropy(resized[None], mask[None].long(), ignore_index=VOID, reduction="sum") / counted
        loss.backward()
        total += loss.detach()
    logits.backward(held.grad)
    return total.item()
