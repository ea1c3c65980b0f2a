"""Schedules of everything that changes during training (docs/method.md, "Optimization")."""

from dataclasses import dataclass

import numpy as np
import torch

from flsl.model import StepValues
from pretrain.recipe import Recipe


def cosine_schedule(
    base: float, final: float, epochs: int, steps_per_epoch: int, warmup_epochs: int = 0, start: float = 0.0
) -> np.ndarray:
    """Return one float64 value a step: `linspace(start, base)` over the warm-up, then a cosine from base to final.

    The first step has `start`, the last warm-up step `base`; the cosine runs over the remaining T steps as
    `final + (base - final) * (1 + cos(pi t / T)) / 2`, t = 0..T-1.
    """
    warmup = np.linspace(start, base, warmup_epochs * steps_per_epoch)
    steps = epochs * steps_per_epoch - len(warmup)
    cosine = final + 0.5 * (base - final) * (1 + np.cos(np.pi * np.arange(steps) / max(steps, 1)))
    return np.concatenate([warmup, cosine])


def teacher_temperature_schedule(start: float, final: float, warmup_epochs: int, epochs: int) -> np.ndarray:
    """Return one temperature an epoch: linear from start to final over the warm-up epochs, then constant."""
    ramp = np.linspace(start, final, warmup_epochs)[:epochs]
    return np.concatenate([ramp, np.full(epochs - len(ramp), final)])


@dataclass(frozen=True)
class Schedules:
    """All scheduled values of a run; every array has one value a step, the teacher temperature one an epoch."""

    steps_per_epoch: int
    lr: np.ndarray
    weight_decay: np.ndarray
    ema_momentum: np.ndarray
    upsilon: np.ndarray
    scale_sa: np.ndarray
    scale_ca: np.ndarray
    mixture: np.ndarray
    tau_teacher: np.ndarray

    @classmethod
    def of(cls, recipe: Recipe, steps_per_epoch: int) -> "Schedules":
        """Build the schedules of a recipe. The learning rate follows the linear rule: lr * global batch / 256."""
        epochs, optimizer, shift = recipe.training.epochs, recipe.optimizer, recipe.mean_shift

        def cosine(start: float | None, final: float) -> np.ndarray:
            return cosine_schedule(final if start is None else start, final, epochs, steps_per_epoch)

        warmup = int(optimizer.warmup_fraction * epochs)
        peak = optimizer.lr * recipe.training.batch_size / 256
        temperature, stage = recipe.temperature, recipe.stage
        return cls(
            steps_per_epoch,
            lr=cosine_schedule(peak, optimizer.final_lr, epochs, steps_per_epoch, warmup),
            weight_decay=cosine(optimizer.weight_decay, optimizer.weight_decay_end),
            ema_momentum=cosine(optimizer.ema_momentum, optimizer.ema_momentum_end),
            upsilon=cosine(recipe.loss.upsilon_start, recipe.loss.upsilon),
            scale_sa=cosine(shift.scale_sa_start, shift.scale_sa),
            scale_ca=cosine(shift.scale_ca_start, shift.scale_ca),
            mixture=cosine(stage.mixture_start, stage.mixture) if stage else np.ones(epochs * steps_per_epoch),
            tau_teacher=teacher_temperature_schedule(
                temperature.teacher_start, temperature.teacher, temperature.warmup_epochs, epochs
            ),
        )

    def values(self, step: int) -> StepValues:
        """Return what the objective needs at a step (0-based, over the whole run)."""
        return StepValues(
            scale_sa=float(self.scale_sa[step]),
            scale_ca=float(self.scale_ca[step]),
            tau_teacher=float(self.tau_teacher[step // self.steps_per_epoch]),
            upsilon=float(self.upsilon[step]),
            mixture=float(self.mixture[step]),
        )

    def table(self) -> np.ndarray:
        """Return one row a step, `(steps, 8)`: what a device needs to know of it, as `Rates` reads it."""
        tau = self.tau_teacher[np.arange(len(self.lr)) // self.steps_per_epoch]
        decay, share = 1 - self.lr * self.weight_decay, 1 - self.ema_momentum
        values = (self.scale_sa, self.scale_ca, tau, self.upsilon, self.mixture)
        return np.stack([self.lr, decay, share, *values], axis=1)


class Rates:
    """One row of `Schedules.table` on the device, moved from step to step in place: no step waits for a number, and a
    recorded step reads the numbers of the step that it is replayed for."""

    def __init__(self, schedules: Schedules, device: torch.device, dtype: torch.dtype):
        """`dtype` is that of the parameters; the learning rate is float32 on a GPU, whose optimizer knows no other."""
        self.table = torch.from_numpy(schedules.table()).to(device, dtype)
        self.row = self.table[0].clone()
        self.lr = torch.zeros((), device=device, dtype=torch.float32 if device.type == "cuda" else dtype)

    def move_to(self, step: int) -> None:
        """Take the values of a step."""
        self.row.copy_(self.table[step])
        self.lr.copy_(self.row[0])

    @property
    def decay(self) -> torch.Tensor:
        """What decayed weights are multiplied with."""
        return self.row[1]

    @property
    def share(self) -> torch.Tensor:
        """How far the teacher goes towards the student."""
        return self.row[2]

    def values(self) -> StepValues:
        """What the objective needs."""
        return StepValues(*self.row[3:].unbind())
