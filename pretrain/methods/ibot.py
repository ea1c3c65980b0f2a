"""iBOT (docs/method.md, "iBOT"): DINO's loss on whole images, and the same for each masked patch of a view against the teacher's.

Zhou et al., "iBOT: Image BERT Pre-Training with Online Tokenizer", ICLR 2022, arXiv 2111.07832.
"""

import math
from dataclasses import field
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from flsl.architecture import EncoderConfig
from flsl.encoder import Encoder
from flsl.head import Head
from flsl.model import assignment_health, at_least_float32, follow, move_center
from flsl.objective import HeadConfig, Temperature
from flsl.runtime.schema import NotNegative, Positive, Share, ShareBelowOne, section
from pretrain import method, recipe
from pretrain.batch import Batch
from pretrain.method import Output, Values
from pretrain.methods.dino import TEACHER_VIEWS, cross_view_loss
from pretrain.schedules import teacher_temperature_schedule
from pretrain.views import MultiCrop, Plan, plan_crops
from pretrain.whole_image import ImageNetwork, paths_of, require_plain

ASPECT = (0.3, 1 / 0.3)  # of a masked block
TRIES = 10  # for a block, before a mask is taken as it is


@section
class IBOT:
    """Masks of the global views, weights of the two losses, and the patches' own teacher temperature and center.

    A view is masked with the chance `masked`; then the share of its patches is uniform around `share` by `spread`.
    """

    masked: Share = 0.5
    share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    spread: Annotated[float, Field(ge=0, lt=1)] = 0.2
    image_weight: NotNegative = 1.0
    patch_weight: NotNegative = 1.0
    patch_temperature_start: Positive = 0.04
    patch_temperature: Positive = 0.07
    center_momentum: ShareBelowOne = 0.9
    patch_center_momentum: ShareBelowOne = 0.9

    def __post_init__(self):
        if self.spread > min(self.share, 1 - self.share):
            raise ValueError(f"spread {self.spread:g} leads from share {self.share:g} out of 0..1")


@section
class Recipe(recipe.Recipe):
    """iBOT's recipe; defaults are the published settings of ViT-S."""

    name: recipe.Name = "iBOT"
    method: str = "ibot"
    views: MultiCrop = field(
        default_factory=lambda: MultiCrop(global_scale=(0.25, 1.0), local_scale=(0.05, 0.25), n_local=10)
    )
    head: HeadConfig = field(default_factory=lambda: HeadConfig(centroids=8192, norm_last_layer=False))
    temperature: Temperature = field(default_factory=Temperature)
    ibot: IBOT = field(default_factory=IBOT)
    optimizer: recipe.CentroidOptimizer = field(default_factory=recipe.CentroidOptimizer)

    def __post_init__(self):
        super().__post_init__()
        require_plain(self.encoder)
        if not self.encoder.class_token:
            raise ValueError(
                "method 'ibot' needs encoder.class_token True: its two losses are on it and on the patches"
            )


class Student(ImageNetwork):
    """An encoder whose masked patches are one learned token, and the head that class token and patches share."""

    def __init__(self, backbone: Encoder, head: nn.Module):
        super().__init__(backbone, head)
        self.mask_token = nn.Parameter(torch.zeros(1, backbone.embed_dim))


class Method(method.Method):
    """Student, teacher, and a center for class tokens and patches each."""

    title = "iBOT"
    terms = ("image", "patch")
    center: torch.Tensor  # (1, K), of class tokens
    patch_center: torch.Tensor  # (1, K)

    def __init__(
        self, encoder: EncoderConfig, head: HeadConfig, temperature: float, options: IBOT, drop_path: float = 0.0
    ):
        """Build with random weights; the teacher starts equal to the student, gets no gradient, and has no stochastic
        depth. `temperature` is the student's."""
        super().__init__()
        self.temperature, self.options = temperature, options
        self.student = Student(Encoder(encoder, drop_path), Head(encoder.embed_dim, head))
        self.teacher = ImageNetwork(Encoder(encoder), Head(encoder.embed_dim, head))
        for name in ("backbone", "head"):
            getattr(self.teacher, name).load_state_dict(getattr(self.student, name).state_dict())
        self.teacher.requires_grad_(False)
        self.register_buffer("center", torch.zeros(1, head.centroids))
        self.register_buffer("patch_center", torch.zeros(1, head.centroids))

    @classmethod
    def build(cls, recipe: Recipe, given: Any) -> "Method":
        """Build student and teacher."""
        drop_path = recipe.training.drop_path
        return cls(recipe.encoder, recipe.head, recipe.temperature.student, recipe.ibot, drop_path)

    @classmethod
    def plan(cls, recipe: Recipe, width: int, height: int, random: np.random.Generator) -> Plan:
        """Draw two global views with their masks, and the local ones."""
        plan, options = plan_crops(recipe, width, height, random), recipe.ibot
        side = recipe.views.global_size // recipe.encoder.patch_size
        for _ in range(TEACHER_VIEWS):
            share = random.uniform(options.share - options.spread, options.share + options.spread)
            most = share * side**2 if random.random() < options.masked else 0.0
            plan.drawn.setdefault("masks", []).append(torch.from_numpy(draw_mask(side, most, random)))
        return plan

    @classmethod
    def schedules(cls, recipe: Recipe, steps_per_epoch: int) -> dict[str, np.ndarray]:
        """Return the teacher's two temperatures, which change from epoch to epoch."""
        of, epochs = recipe.temperature, recipe.training.epochs
        patch = recipe.ibot.patch_temperature_start, recipe.ibot.patch_temperature
        taus = {
            "tau_teacher": teacher_temperature_schedule(of.teacher_start, of.teacher, of.warmup_epochs, epochs),
            "tau_patch": teacher_temperature_schedule(*patch, of.warmup_epochs, epochs),
        }
        return {name: tau.repeat(steps_per_epoch) for name, tau in taus.items()}

    def forward(self, batch: Batch, values: Values) -> Output:
        """Compute both losses of one micro-batch; the first two views are masked for the student, and the teacher's too."""
        views, paths, masks = batch.views, paths_of(batch), torch.cat(batch.drawn["masks"])
        with torch.no_grad():
            teacher = self._logits(self.teacher, self.teacher.tokens(views[:TEACHER_VIEWS]))
        masked = masks, self.student.mask_token
        tokens = self.student.tokens(views[:TEACHER_VIEWS], paths[:TEACHER_VIEWS], masked)
        student = self._logits(self.student, tokens)
        images = student[:, 0]
        if len(views) > TEACHER_VIEWS:
            images = torch.cat([images, self.student(views[TEACHER_VIEWS:], paths[TEACHER_VIEWS:])])
        with torch.autocast(student.device.type, enabled=False):
            image = cross_view_loss(
                images / self.temperature,
                (teacher[:, 0] - self.center) / values["tau_teacher"],
                views=len(views),
                teacher_views=TEACHER_VIEWS,
            )
            patch = masked_patch_loss(
                student[:, 1:] / self.temperature, (teacher[:, 1:] - self.patch_center) / values["tau_patch"], masks
            )
            loss = self.options.image_weight * image + self.options.patch_weight * patch

        def health() -> dict[str, torch.Tensor]:
            now = student[:, 0].detach()
            return assignment_health(torch.softmax(now / self.temperature, -1).mean(0), now, teacher[:, 0])

        scalars = {"loss": loss.detach(), "image": image.detach(), "patch": patch.detach()}
        carried = {"image": teacher[:, 0].mean(0), "patch": teacher[:, 1:].mean((0, 1))}
        return Output(loss, scalars, health, carried)

    @staticmethod
    def _logits(network: ImageNetwork, tokens: torch.Tensor) -> torch.Tensor:
        """Return the shared head's outputs `(R, 1 + N, K)` for class tokens and patches; register tokens are left out."""
        registers = network.backbone.num_prefix_tokens - 1
        kept = torch.cat([tokens[:, :1], tokens[:, 1 + registers :]], 1) if registers else tokens
        return at_least_float32(network.head(kept))

    def after_step(self, carried: list[dict[str, torch.Tensor]], share: torch.Tensor, held: torch.Tensor) -> None:
        """Move both centers and the teacher, which has no token for masked patches."""
        options = self.options
        move_center(self.center, torch.stack([part["image"] for part in carried]), options.center_momentum, held)
        patches = torch.stack([part["patch"] for part in carried])
        move_center(self.patch_center, patches, options.patch_center_momentum, held)
        for name in ("backbone", "head"):
            follow(getattr(self.teacher, name), getattr(self.student, name), share)


def masked_patch_loss(student: torch.Tensor, teacher: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return the mean over views of the mean cross-entropy over their masked patches; a view without any counts as 0.

    Args:
        student: logits over their temperature `(R, N, K)`, a row for each view of each image.
        teacher: those of the teacher, centered, over their temperature.
        masks: boolean `(R, N)`.
    """
    each = -(torch.softmax(teacher.detach(), -1) * torch.log_softmax(student, -1)).sum(-1)
    weights = masks.to(each)
    return ((each * weights).sum(-1) / weights.sum(-1).clamp_min(1)).mean()


def draw_mask(side: int, most: float, random: np.random.Generator) -> np.ndarray:
    """Draw a mask `(side * side,)` of at most `most` patches, as blocks of random area and aspect ratio that may overlap.

    A block has between a ninth of the view and all patches that are left, is smaller than the view along both sides, and
    masks at least one more patch.
    """
    mask = np.zeros((side, side), bool)
    smallest = (side // 3) ** 2
    while (left := most - mask.sum()) > 0:
        for _ in range(TRIES):
            area = random.uniform(min(smallest, left), max(smallest, left))
            ratio = math.exp(random.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
            height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if height >= side or width >= side:
                continue
            top, start = random.integers(side - height + 1), random.integers(side - width + 1)
            block = mask[top : top + height, start : start + width]
            if 0 < (~block).sum() <= left:
                block[:] = True
                break
        else:
            break
    return mask.reshape(-1)
