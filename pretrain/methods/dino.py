"""DINO (docs/method.md, "DINO"): the student's assignment of every view of an image must be the teacher's of another one.

Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, arXiv 2104.14294.
"""

from dataclasses import field
from typing import Any

import numpy as np
import torch

from flsl.architecture import EncoderConfig
from flsl.encoder import Encoder
from flsl.head import Head
from flsl.model import assignment_health, follow, move_center
from flsl.objective import HeadConfig, Temperature
from flsl.runtime.schema import ShareBelowOne, section
from pretrain import method, recipe
from pretrain.batch import Batch
from pretrain.method import Output, Values
from pretrain.schedules import teacher_temperature_schedule
from pretrain.views import MultiCrop, Plan, plan_crops
from pretrain.whole_image import ImageNetwork, paths_of, require_plain

TEACHER_VIEWS = 2  # the global ones, which come first


@section
class Dino:
    """What only DINO has: its center, which keeps the teacher from one assignment for everything."""

    center_momentum: ShareBelowOne = 0.9


@section
class Recipe(recipe.Recipe):
    """DINO's recipe; defaults are the published settings of ViT-S for 100 epochs."""

    name: recipe.Name = "DINO"
    method: str = "dino"
    views: MultiCrop = field(default_factory=MultiCrop)
    head: HeadConfig = field(default_factory=lambda: HeadConfig(centroids=65536))
    temperature: Temperature = field(default_factory=lambda: Temperature(teacher=0.04, warmup_epochs=0))
    dino: Dino = field(default_factory=Dino)
    optimizer: recipe.CentroidOptimizer = field(default_factory=recipe.CentroidOptimizer)

    def __post_init__(self):
        super().__post_init__()
        require_plain(self.encoder)


class Method(method.Method):
    """Student, teacher and center."""

    title = "DINO"
    advice = {
        "flat": "raise optimizer.lr, or sharpen the teacher's assignments (lower temperature.teacher)",
        "collapse": "lower temperature.teacher, or slow the teacher down (higher optimizer.ema_momentum)",
        "few": "lower optimizer.lr, or slow the teacher down (higher optimizer.ema_momentum)",
    }
    center: torch.Tensor  # (1, K), subtracted from the teacher's logits

    def __init__(
        self,
        encoder: EncoderConfig,
        head: HeadConfig,
        temperature: float,
        center_momentum: float,
        drop_path: float = 0.0,
    ):
        """Build with random weights; the teacher starts equal to the student, gets no gradient, and has no stochastic
        depth. `temperature` is the student's."""
        super().__init__()
        self.temperature, self.center_momentum, self.teacher_views = temperature, center_momentum, TEACHER_VIEWS
        self.student, self.teacher = (
            ImageNetwork(Encoder(encoder, drop), Head(encoder.embed_dim, head)) for drop in (drop_path, 0.0)
        )
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.register_buffer("center", torch.zeros(1, head.centroids))

    @classmethod
    def build(cls, recipe: Recipe, given: Any) -> "Method":
        """Build student and teacher."""
        momentum, drop_path = recipe.dino.center_momentum, recipe.training.drop_path
        return cls(recipe.encoder, recipe.head, recipe.temperature.student, momentum, drop_path)

    @classmethod
    def plan(cls, recipe: Recipe, width: int, height: int, random: np.random.Generator) -> Plan:
        """Draw two global views and the local ones."""
        return plan_crops(recipe, width, height, random)

    @classmethod
    def schedules(cls, recipe: Recipe, steps_per_epoch: int) -> dict[str, np.ndarray]:
        """Return the teacher's temperature, which changes from epoch to epoch."""
        of = recipe.temperature
        tau = teacher_temperature_schedule(of.teacher_start, of.teacher, of.warmup_epochs, recipe.training.epochs)
        return {"tau_teacher": tau.repeat(steps_per_epoch)}

    def forward(self, batch: Batch, values: Values) -> Output:
        """Compute the loss of one micro-batch; the first views are the teacher's too."""
        with torch.no_grad():
            teacher = self.teacher(batch.views[: self.teacher_views])
        student = self.student(batch.views, paths_of(batch))
        with torch.autocast(student.device.type, enabled=False):
            loss = cross_view_loss(
                student / self.temperature,
                (teacher - self.center) / values["tau_teacher"],
                views=len(batch.views),
                teacher_views=self.teacher_views,
            )

        def health() -> dict[str, torch.Tensor]:
            of_globals = student.detach()[: len(teacher)]
            return assignment_health(torch.softmax(of_globals / self.temperature, -1).mean(0), of_globals, teacher)

        return Output(loss, {"loss": loss.detach()}, health, {"logits": teacher.mean(0)})

    def after_step(self, carried: list[dict[str, torch.Tensor]], share: torch.Tensor, held: torch.Tensor) -> None:
        """Move the center and the teacher."""
        move_center(self.center, torch.stack([part["logits"] for part in carried]), self.center_momentum, held)
        follow(self.teacher, self.student, share)


def cross_view_loss(student: torch.Tensor, teacher: torch.Tensor, *, views: int, teacher_views: int) -> torch.Tensor:
    """Return the mean cross-entropy over all pairs of a teacher's view and another view of the same image.

    Args:
        student: logits over their temperature `(views * B, K)`, view by view.
        teacher: those of the first `teacher_views` views, centered, over their temperature.
        views: the student's.
        teacher_views: the teacher's; at least one pair of different views is needed.
    """
    # (V, B * K): the sum over images and centroids is one small matrix product
    log_student = torch.log_softmax(student, dim=-1).view(views, -1)
    target = torch.softmax(teacher.detach(), dim=-1).view(teacher_views, -1)
    pairs = target @ log_student.T
    others = 1 - torch.eye(teacher_views, views, device=pairs.device, dtype=pairs.dtype)
    images = len(student) // views
    return -(pairs * others).sum() / (teacher_views * (views - 1) * images)
