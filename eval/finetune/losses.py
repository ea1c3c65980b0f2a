"""The training loop's losses as numbers: fetched from a GPU some iterations at a time, since each fetch waits for it."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop

from flsl.runtime.distributed import any_rank
from flsl.runtime.errors import SaidElsewhere, UserError


@LOOPS.register_module()
class FetchingLoop(IterBasedTrainLoop):
    """mmengine's loop by iterations. Training stops at the first loss that is not a number, before anything is saved with
    the weights that it spoiled: what saves calls `fetch` first."""

    def __init__(self, *args: Any, fetch_every: int = 1, **kwargs: Any):
        """Take mmengine's arguments, and after how many iterations losses are fetched."""
        super().__init__(*args, **kwargs)
        self.fetch_every = fetch_every
        self.losses: dict[str, float] = {}  # of the iteration that was fetched last
        self._waiting: list[tuple[int, list[str], dict[str, torch.Tensor]]] = []  # iteration, images, losses

    def run_iter(self, data_batch: Any) -> None:
        """Train on one batch. Hooks get the losses where they are fetched, None in between.

        Raises:
            UserError: see `fetch`.
        """
        runner, done = self.runner, self._iter + 1
        runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=data_batch)
        outputs = runner.model.train_step(data_batch, optim_wrapper=runner.optim_wrapper)
        self._waiting.append((done, [sample.img_path for sample in data_batch["data_samples"]], outputs))
        fetched = done % self.fetch_every == 0 or done == self.max_iters or not self.losses
        if fetched:
            self.fetch()
        outputs = self.losses if fetched else None
        runner.call_hook("after_train_iter", batch_idx=self._iter, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def fetch(self) -> None:
        """Fetch what waits, by one wait for the device; every process calls it at the same iterations.

        Raises:
            UserError: a loss is not finite; with the iteration, the loss's parts and the images of the batch.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        tensors = [
            torch.as_tensor(value).detach().float().reshape(()) for _, _, losses in waiting for value in losses.values()
        ]
        numbers = iter(torch.stack(tensors).tolist())
        rows = [(done, images, {name: next(numbers) for name in losses}) for done, images, losses in waiting]
        bad = next((row for row in rows if not math.isfinite(row[2]["loss"])), None)
        if any_rank(bad is not None):
            if bad is None:
                raise SaidElsewhere
            raise UserError(_not_finite(*bad))
        for _, _, losses in rows[:-1]:  # the log has every iteration; its hook adds the last one
            for name, value in losses.items():
                self.runner.message_hub.update_scalar(f"train/{name}", value)
        self.losses = rows[-1][2]


def _not_finite(iteration: int, images: Sequence[str], losses: dict[str, float]) -> str:
    parts = ", ".join(f"{name} = {value}" for name, value in losses.items() if not math.isfinite(value))
    return (
        f"training stopped: the loss of iteration {iteration} is not finite ({parts}). "
        f"Images of this batch: {', '.join(images)}. "
        "Check their annotations; else lower training.learning_rate, lengthen training.warmup_iterations, set "
        "training.clip_norm, or train with training.precision=fp32. The last saved state is from before."
    )
