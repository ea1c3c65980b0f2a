"""What a pretraining method is to the loop: views, schedules, one module with a loss, and which encoder is kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from flsl.encoder import Encoder
from pretrain.batch import Batch
from pretrain.methods import load_method
from pretrain.recipe import Recipe
from pretrain.views import Plan

Values = Mapping[str, Any]  # of one step: scheduled numbers by name, and what `before_step` adds
COLLAPSED = 0.05  # entropy of the mean assignment, as a share of its maximum, that draws a warning


@dataclass
class Output:
    """What a method computes of one micro-batch."""

    loss: torch.Tensor  # scalar, with gradient
    scalars: dict[str, torch.Tensor]  # without gradient: `loss`, the method's `terms`; averaged over micro-batches
    health: Callable[[], dict[str, torch.Tensor]] = dict  # scalars that show a collapse; called where they are reported
    carried: dict[str, torch.Tensor] = field(default_factory=dict)  # small tensors, for `after_step`


class Method(nn.Module):
    """The modules of a method. All that needs gradients goes through `forward`, so that data parallelism sees it; nothing in
    a step waits for the device or decides by its numbers, so that it may be recorded."""

    title: ClassVar[str]  # in checkpoints and records
    terms: ClassVar[tuple[str, ...]] = ()  # parts of the loss that the progress line shows
    advice: ClassVar[dict[str, str]] = dict(  # what to do, by the fault that `pretrain.diagnosis` finds
        flat="raise optimizer.lr", collapse="lower optimizer.lr", few="lower optimizer.lr"
    )
    student: Any  # the module that is trained; its encoder is `student.backbone`
    teacher: Any  # a module like it that follows it, where there is one

    @classmethod
    def read(cls, recipe: Any) -> Any:
        """Return what the recipe names and the method has to read before a run, if anything. Raises UserError."""
        return None

    @classmethod
    def inputs(cls, recipe: Any) -> dict[str, Path | None]:
        """Return the files that `read` reads, by the keys that name them."""
        return {}

    @classmethod
    def identify(cls, chosen: dict[str, Any], given: Any) -> None:
        """Replace, in a recipe's plain values, names of files by what they hold."""

    @classmethod
    def build(cls, recipe: Any, given: Any) -> "Method":
        """Build the modules with random weights; `given` is what `read` returned."""
        raise NotImplementedError

    @classmethod
    def plan(cls, recipe: Any, width: int, height: int, random: np.random.Generator) -> Plan:
        """Draw the views of an image of some size in pixels."""
        raise NotImplementedError

    @classmethod
    def keeps_crops(cls, recipe: Any) -> bool:
        """Tell whether the method needs the views without changes of color too."""
        return False

    @classmethod
    def schedules(cls, recipe: Any, steps_per_epoch: int) -> dict[str, np.ndarray]:
        """Return what else than rates changes from step to step, float64, one value per step."""
        return {}

    @property
    def encoder(self) -> Encoder:
        """The encoder that is saved and probed."""
        return getattr(self, "teacher", self.student).backbone

    @property
    def encoders(self) -> list[Encoder]:
        """All encoders that a step runs, the trained one first."""
        return [getattr(self, name).backbone for name in ("student", "teacher") if hasattr(self, name)]

    def before_step(self, batches: Sequence[Batch], values: Values) -> Values:
        """Return the step's values with what the method must know of all micro-batches before it sees one."""
        return values

    def forward(self, batch: Batch, values: Values) -> Output:
        """Compute the loss of one of a step's equal micro-batches."""
        raise NotImplementedError

    def last_layer(self) -> list[nn.Parameter]:
        """Return what `optimizer.freeze_last_layer` holds still in the first epochs: the centroids."""
        return list(self.student.head.last_layer.parameters())

    def after_step(self, carried: list[dict[str, torch.Tensor]], share: torch.Tensor, held: torch.Tensor) -> None:
        """Move what follows the student, after the optimizer.

        Args:
            carried: of each micro-batch's output.
            share: scalar, how far a teacher goes towards the student.
            held: boolean scalar, equal on all ranks: the step was skipped, nothing but the teacher moves.
        """

    def complaint(self, scalars: Mapping[str, float]) -> str | None:
        """Say what is wrong, where reported scalars show a collapse."""
        if scalars.get("assignment_entropy", 1.0) >= COLLAPSED:
            return None
        return (
            f"assignments collapse: entropy of the mean assignment is {scalars['assignment_entropy']:.1%} of its maximum, "
            f"{scalars['centroids_in_use']:.0f} centroids in use"
        )


def find_method(recipe: Recipe) -> type[Method]:
    """Return the method of a recipe."""
    return load_method(recipe.method).Method


def build_model(recipe: Recipe, given: Any = None) -> Method:
    """Build the method's modules, their weights fixed by the recipe's seed."""
    torch.manual_seed(recipe.training.seed)
    model = find_method(recipe).build(recipe, given)
    model.student.backbone.set_grad_checkpointing(recipe.runtime.activation_checkpointing)
    return model
