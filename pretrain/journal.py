"""What a run says about itself: a JSON-lines log, a progress line, TensorBoard scalars."""

import json
import time
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError


class Journal:
    """Collects scalars and writes them every so many steps.

    The log has one line a report; a resumed run drops the lines after the step it resumes from, so that the log of an
    interrupted run equals that of an uninterrupted one (but for times).
    """

    def __init__(
        self, out: Path, first_step: int, total_steps: int, steps_per_epoch: int, batch_size: int, mirror: bool = False
    ):
        self.path = out / "log.jsonl"
        self.first_step, self.total_steps = first_step, total_steps
        self.steps_per_epoch, self.batch_size = steps_per_epoch, batch_size
        self.start = self.last_time = time.perf_counter()
        self.last_step, self.waited = first_step, 0.0
        lines = self.path.read_text().splitlines() if self.path.exists() and first_step else []
        kept = [line for line in lines if _step_of(line) < first_step]
        self.path.write_text("".join(line + "\n" for line in kept))
        from torch.utils.tensorboard import SummaryWriter

        if mirror:
            _start_wandb(out)
        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=first_step)

    def report(self, step: int, scalars: dict[str, float], notes: dict[str, Any]) -> None:
        """Write one line for the steps since the last report; `step` is the last one done (0-based)."""
        now = time.perf_counter()
        done = step + 1 - self.last_step
        seconds = now - self.last_time
        rate = done * self.batch_size / seconds
        share = min(self.waited / seconds, 1.0)
        line = {
            "step": step,
            "epoch": step // self.steps_per_epoch,
            **scalars,
            **notes,
            "images_per_second": rate,
            "data_wait_share": share,
        }
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")
        for key, value in scalars.items():
            self.board.add_scalar(key, value, step)
        self.board.add_scalar("images_per_second", rate, step)
        per_step = (now - self.start) / (step + 1 - self.first_step)
        eta = per_step * (self.total_steps - step - 1)
        print(
            f"epoch {step // self.steps_per_epoch + 1}/{self.total_steps // self.steps_per_epoch} "
            f"step {step + 1}/{self.total_steps} loss {scalars['loss']:.4f} (intra {scalars['intra']:.4f} "
            f"inter {scalars['inter']:.4f} vmr {scalars['vmr']:.4f}) lr {scalars['lr']:.2e} "
            f"{rate:.1f} images/s data {share:.0%} ETA {_clock(eta)}",
            flush=True,
        )
        self.last_time, self.last_step, self.waited = now, step + 1, 0.0

    def close(self) -> None:
        """Flush everything."""
        self.board.close()


def _start_wandb(out: Path) -> None:
    """Mirror TensorBoard to Weights & Biases."""
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise UserError("training.wandb needs the package wandb: pip install wandb, or leave the key out") from error
    wandb.init(project="flsl", name=out.name, dir=str(out), sync_tensorboard=True, resume="allow")


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError):
        return 2**62  # a line that a crash cut short


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
