"""Schedules of everything that changes during training (docs/method.md, "Optimization")."""

from dataclasses import dataclass

import numpy as np
import torch

from pretrain.method import find_method
from pretrain.recipe import Recipe, TeacherOptimizer


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
    """All scheduled values of a run; every array has one value per step."""

    steps_per_epoch: int
    lr: np.ndarray
    weight_decay: np.ndarray
    ema_momentum: np.ndarray | None  # of a teacher, where there is one
    of_method: dict[str, np.ndarray]  # what the method schedules beside

    @classmethod
    def of(cls, recipe: Recipe, steps_per_epoch: int) -> "Schedules":
        """Build the schedules of a recipe. The learning rate follows the linear rule: lr * global batch / 256."""
        epochs, optimizer = recipe.training.epochs, recipe.optimizer
        warmup = int(optimizer.warmup_fraction * epochs + 1e-9)  # 0.29 of 100 epochs is 28.999999999999996
        peak = optimizer.lr * recipe.training.batch_size / 256
        momentum = None
        if isinstance(optimizer, TeacherOptimizer):
            momentum = cosine_schedule(optimizer.ema_momentum, optimizer.ema_momentum_end, epochs, steps_per_epoch)
        return cls(
            steps_per_epoch,
            lr=cosine_schedule(peak, optimizer.final_lr, epochs, steps_per_epoch, warmup),
            weight_decay=cosine_schedule(optimizer.weight_decay, optimizer.weight_decay_end, epochs, steps_per_epoch),
            ema_momentum=momentum,
            of_method=find_method(recipe).schedules(recipe, steps_per_epoch),
        )

    def rates(self, step: int) -> dict[str, float]:
        """Return learning rate, weight decay and, where there is a teacher, its momentum, at a step (0-based)."""
        rates = {"lr": self.lr, "weight_decay": self.weight_decay, "ema_momentum": self.ema_momentum}
        return {name: float(values[step]) for name, values in rates.items() if values is not None}

    def values(self, step: int) -> dict[str, float]:
        """Return what the method needs at a step (0-based, over the whole run)."""
        return {name: float(values[step]) for name, values in self.of_method.items()}

    def table(self) -> np.ndarray:
        """Return one row per step: what a device needs to know of it, as `Rates` reads it."""
        momentum = np.ones_like(self.lr) if self.ema_momentum is None else self.ema_momentum
        decay, share = 1 - self.lr * self.weight_decay, 1 - momentum
        return np.stack([self.lr, decay, share, *self.of_method.values()], axis=1)


class Rates:
    """One row of `Schedules.table` on the device, moved from step to step in place: no step waits for a number, and a
    recorded step reads the numbers of the step that it is replayed for."""

    def __init__(self, schedules: Schedules, device: torch.device, dtype: torch.dtype):
        """`dtype` is that of the parameters; the learning rate is float32 on a GPU, whose optimizer knows no other."""
        self.names = list(schedules.of_method)
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
        """How far a teacher goes towards the student."""
        return self.row[2]

    def values(self) -> dict[str, torch.Tensor]:
        """What the method needs."""
        return dict(zip(self.names, self.row[3:].unbind()))
