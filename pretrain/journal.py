"""What a run says about itself: a JSON-lines log, a progress line, TensorBoard scalars, pictures of its features."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic, write_text
from flsl.runtime.text import clock


class Journal:
    """Collects scalars and writes them every so many steps.

    The log has one line a report; a resumed run drops the lines after the step it resumes from, so that the log of an
    interrupted run equals that of an uninterrupted one (but for times).
    """

    def __init__(
        self,
        out: Path,
        *,
        first_step: int,
        total_steps: int,
        steps_per_epoch: int,
        batch_size: int,
        terms: Sequence[str],
        mirror: bool = False,
    ):
        """Open the log in `out`.

        Args:
            out: the run's folder.
            first_step: the step that is done next.
            total_steps: of the whole run.
            steps_per_epoch: for the number of an epoch.
            batch_size: images of a step.
            terms: names of the scalars that the progress line shows beside the loss.
            mirror: to Weights & Biases too.
        """
        self.path, self.pictures = out / "log.jsonl", out / "pictures"
        self.first_step, self.total_steps, self.terms = first_step, total_steps, terms
        self.steps_per_epoch, self.batch_size = steps_per_epoch, batch_size
        self.start = self.last_time = time.perf_counter()
        self.last_step = first_step
        found = _rows(self.path) if self.path.exists() and first_step else ()
        write_text(self.path, "".join(line + "\n" for line, row in found if int(row["step"]) < first_step))
        from torch.utils.tensorboard import SummaryWriter

        if mirror:
            _start_wandb(out)
        try:
            self.board = SummaryWriter(str(out / "tensorboard"), purge_step=first_step)
        except OSError as error:  # later on a log that cannot be written ends no training; nothing is lost here
            raise UserError(
                f"cannot write {out / 'tensorboard'}: {error.strerror}. Make room, and run again."
            ) from error

    def report(self, step: int, scalars: dict[str, float], notes: dict[str, Any], *, waited: float) -> None:
        """Write one line for the steps since the last report; `step` is the last one done (0-based), and `waited` the
        seconds that they waited for their images."""
        now = time.perf_counter()
        done = step + 1 - self.last_step
        seconds = now - self.last_time
        rate = done * self.batch_size / seconds
        share = min(waited / seconds, 1.0)
        epoch = step // self.steps_per_epoch
        line = {"step": step, "epoch": epoch, **scalars, **notes, "images_per_second": rate, "data_wait_share": share}
        self._write(line, scalars | {"images_per_second": rate}, step)
        terms = " ".join(f"{term} {scalars[term]:.4f}" for term in self.terms)
        eta = (now - self.start) / (step + 1 - self.first_step) * (self.total_steps - step - 1)
        print(
            f"epoch {epoch + 1}/{self.total_steps // self.steps_per_epoch} step {step + 1}/{self.total_steps} "
            f"loss {scalars['loss']:.4f} {f'({terms}) ' * bool(terms)}"
            f"lr {scalars['lr']:.2e} {rate:.1f} images/s data {share:.0%} ETA {clock(eta)}",
            flush=True,
        )
        self.last_time, self.last_step = now, step + 1

    def note(self, done: int, found: dict[str, float]) -> None:
        """Write what the probe found after `done` steps: a line of its own, and scalars `probe/...`."""
        line = {"step": done - 1, "epoch": done / self.steps_per_epoch, "probe": found}
        self._write(line, {f"probe/{name}": value for name, value in found.items()}, done)

    def _write(self, line: dict[str, Any], scalars: dict[str, float], at: int) -> None:
        """Write a line of the log, and scalars at a step to TensorBoard."""
        with _said():
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
            for name, value in scalars.items():
                self.board.add_scalar(name, value, at)

    def rows(self) -> list[dict[str, Any]]:
        """Return the lines of the log so far, but for what a full disk cut short."""
        with _said():
            return [row for _, row in _rows(self.path)]
        return []

    def draw(self, step: int, pictures: Mapping[str, Any]) -> None:
        """Send pictures `(3, H, W)` in 0..1, by name, to TensorBoard, and below each other to pictures/step_000000.png."""
        with _said():
            for name, picture in pictures.items():
                self.board.add_image(name, picture, step)
            sheet = np.concatenate([np.asarray(picture) for picture in pictures.values()], axis=1)
            image = Image.fromarray((255 * sheet.clip(0, 1)).astype(np.uint8).transpose(1, 2, 0))
            write_atomic(self.pictures / f"step_{step:06d}.png", lambda path: image.save(path, format="png"))

    def close(self) -> None:
        """Flush everything."""
        with _said():
            self.board.close()


@contextmanager
def _said() -> Iterator[None]:
    """Say that the log cannot be written, on a full disk, and go on: no result depends on it."""
    try:
        yield
    except (OSError, UserError) as error:
        print(f"ERROR: the log could not be written, training goes on: {error}", file=sys.stderr, flush=True)


def _start_wandb(out: Path) -> None:
    """Mirror TensorBoard to Weights & Biases."""
    import wandb

    wandb.init(project="flsl", name=out.name, dir=str(out), sync_tensorboard=True, resume="allow")


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the lines of a log and what they say, but for those that a crash or a full disk cut short."""
    for line in path.read_text(errors="replace").splitlines():
        try:
            row = json.loads(line)
            int(row["step"])
        except (ValueError, KeyError, TypeError):
            continue
        yield line, row
