"""FLSL (docs/method.md): its recipe, its views with their queries, and its model (`flsl.model`) as the loop takes it.

The student's views are cut from the teacher's. Each view, the teacher's too, has its own flip, color and blur.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from flsl.across_ranks import mean_over_ranks
from flsl.checkpoint import identify, load_encoder
from flsl.model import FLSL, EarlierStage, StepValues, follow
from flsl.objective import HeadConfig, Loss, MeanShift, Stage, Temperature
from flsl.places import places_in_teacher
from flsl.random_crop import Box, draw_box
from flsl.runtime.errors import UserError
from flsl.runtime.schema import Pixels, PositiveInt, Share, section
from flsl.sampling import draw_queries
from flsl.source import path_of
from pretrain import method, recipe
from pretrain.batch import Batch
from pretrain.method import Output, Values
from pretrain.photometric import draw_photometric
from pretrain.schedules import cosine_schedule, teacher_temperature_schedule
from pretrain.views import Plan, draw_flips, draw_paths


@section
class Views(recipe.Views):
    """All views but the teacher's are cut from its crop.

    The last four are not published: `student_from` "image" cuts the student's crops from the image, so that they need not lie
    in the teacher's; `flip` is the chance of a horizontal flip, drawn for each view; `strength` multiplies the ranges of
    brightness, contrast, saturation and hue; the positions of each view start at a place drawn between 0 and `shift` tokens
    along both axes, so that they say how tokens lie to each other, but not where in the view.
    """

    local_size: Pixels = 96
    n_local: Annotated[int, Field(ge=0, le=100)] = 2
    teacher_scale: tuple[recipe.Area, recipe.Area] = (0.8, 1.0)
    global_scale: tuple[recipe.Area, recipe.Area] = (0.5, 1.0)
    local_scale: tuple[recipe.Area, recipe.Area] = (0.05, 0.4)
    student_from: Literal["teacher", "image"] = "teacher"
    flip: Share = 0.0
    strength: recipe.Strength = 1.0
    shift: Annotated[float, Field(ge=0, le=10_000)] = 0.0


@section
class SamplingSection:
    """Query sampling: `stride` (published settings) or `random` (paper), and the windows in tokens."""

    mode: Literal["stride", "random"] = "stride"
    window_global: PositiveInt = 3
    window_local: PositiveInt = 2


@section
class Recipe(recipe.Recipe):
    """FLSL's recipe."""

    head: HeadConfig = field(default_factory=HeadConfig)
    views: Views = field(default_factory=Views)
    sampling: SamplingSection = field(default_factory=SamplingSection)
    mean_shift: MeanShift = field(default_factory=MeanShift)
    temperature: Temperature = field(default_factory=Temperature)
    loss: Loss = field(default_factory=Loss)
    optimizer: recipe.CentroidOptimizer = field(default_factory=recipe.CentroidOptimizer)
    stage: Stage | None = None

    def __post_init__(self):
        super().__post_init__()
        check_views(self)
        if self.mean_shift.teacher_from == "place" and self.views.student_from != "teacher":
            raise ValueError(
                "mean_shift.teacher_from 'place' needs views.student_from 'teacher': other places are not known"
            )
        prior, centroids = self.loss.prior, self.head.centroids
        if prior is not None and len(prior) != centroids:
            raise ValueError(f"loss.prior has {len(prior)} values, but head.centroids is {centroids}")

    @property
    def attention_scale(self) -> float:
        """The mean-shift's inverse temperature by which the probe tells how flat attention is."""
        return self.mean_shift.scale_ca


class Method(FLSL, method.Method):
    """FLSL's student and teacher, with the earlier stage that the recipe may name."""

    title = "FLSL"
    terms = FLSL.terms
    advice = {
        "flat": "raise optimizer.lr, or sharpen the teacher's assignments (lower temperature.teacher)",
        "collapse": "raise mean_shift.scale_sa and scale_ca, or lower loss.upsilon",
        "few": "raise loss.gamma, sharpen assignments (lower temperature.student and teacher), or switch loss.centering on",
    }

    @classmethod
    def read(cls, recipe: Recipe) -> EarlierStage | None:
        """Load the earlier stage's encoder, where the recipe has one.

        Raises:
            UserError: it cannot be loaded, or does not fit the recipe.
        """
        stage = recipe.stage
        if stage is None:
            return None
        encoder = load_encoder(stage.checkpoint).encoder
        if stage.attention_level > encoder.depth:
            raise UserError(f"stage.attention_level {stage.attention_level} exceeds the {encoder.depth} blocks of it")
        if encoder.patch_size != recipe.encoder.patch_size:
            raise UserError(
                f"stage.checkpoint has patches of {encoder.patch_size} pixels, encoder.patch_size is "
                f"{recipe.encoder.patch_size}: their tokens do not match"
            )
        return EarlierStage(encoder, stage)

    @classmethod
    def inputs(cls, recipe: Recipe) -> dict[str, Path | None]:
        """Return where the earlier stage's encoder lies."""
        return {} if recipe.stage is None else {"stage.checkpoint": path_of(recipe.stage.checkpoint)}

    @classmethod
    def identify(cls, chosen: dict[str, Any], given: EarlierStage | None) -> None:
        """Name the earlier stage by its fingerprint, not by where it lies; runs from before there was a choice go on."""
        if chosen["mean_shift"]["teacher_from"] == "query":
            del chosen["mean_shift"]["teacher_from"]
        if given is not None:
            chosen["stage"]["checkpoint"] = identify(given.encoder)[:16]

    @classmethod
    def build(cls, recipe: Recipe, given: EarlierStage | None) -> "Method":
        """Build student and teacher; `given` is the earlier stage."""
        return cls(
            recipe.encoder,
            recipe.head,
            temperature=recipe.temperature,
            loss=recipe.loss,
            drop_path=recipe.training.drop_path,
            previous=given,
        )

    @classmethod
    def plan(cls, recipe: Recipe, width: int, height: int, random: np.random.Generator) -> Plan:
        """Draw the teacher's view, the student's, and the queries of each of the student's."""
        return draw_plan(recipe, width, height, random, places=recipe.mean_shift.teacher_from == "place")

    @classmethod
    def keeps_crops(cls, recipe: Recipe) -> bool:
        """Multi-stage training looks at the views without changes of color."""
        return recipe.stage is not None

    @classmethod
    def schedules(cls, recipe: Recipe, steps_per_epoch: int) -> dict[str, np.ndarray]:
        """Return the fields of `StepValues` over all steps; the temperature changes from epoch to epoch."""
        epochs, shift, temperature, stage = recipe.training.epochs, recipe.mean_shift, recipe.temperature, recipe.stage

        def cosine(start: float | None, final: float) -> np.ndarray:
            return cosine_schedule(final if start is None else start, final, epochs, steps_per_epoch)

        tau = teacher_temperature_schedule(
            temperature.teacher_start, temperature.teacher, temperature.warmup_epochs, epochs
        )
        return {
            "scale_sa": cosine(shift.scale_sa_start, shift.scale_sa),
            "scale_ca": cosine(shift.scale_ca_start, shift.scale_ca),
            "tau_teacher": tau.repeat(steps_per_epoch),
            "upsilon": cosine(recipe.loss.upsilon_start, recipe.loss.upsilon),
            "mixture": cosine(stage.mixture_start, stage.mixture) if stage else np.ones(epochs * steps_per_epoch),
        }

    def before_step(self, batches: Sequence[Batch], values: Values) -> Values:
        """Find the mean assignment `(K,)` of all micro-batches and ranks, which the volume term of each needs before its
        gradient is taken; one micro-batch alone finds it on its way.

        It costs the student's forward pass once more, and the memory of one micro-batch.
        """
        if len(batches) == 1 or not self.objective.volume_maximization:
            return values
        # What a network draws by itself here it must draw again with gradients.
        encoder = self.student.backbone
        draws = encoder.drop_path > 0 and encoder.config.timm_model is not None
        device = self.center.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []) if draws else nullcontext():
            now = StepValues(**values)
            parts = [self.mean_assignment(b.views, b.drawn["queries"], now, **_moved(b)) for b in batches]
        return {**values, "p_bar": mean_over_ranks(torch.stack(parts).mean(0))}

    def forward(self, batch: Batch, values: Values) -> Output:  # type: ignore[override]  # FLSL's takes it apart
        """Compute the losses of one micro-batch."""
        now = StepValues(**{name: value for name, value in values.items() if name != "p_bar"})
        crops = batch.drawn.get("crops", ())
        found = super().forward(
            batch.views, batch.drawn["queries"], now, crops, **_moved(batch),
            places=batch.drawn.get("places", ()), p_bar=values.get("p_bar"),
        )  # fmt: skip
        return Output(found.loss, found.losses(), found.health, {"logits": found.logits_teacher.mean(0)})

    def after_step(self, carried: list[dict[str, torch.Tensor]], share: torch.Tensor, held: torch.Tensor) -> None:
        """Move the center, where there is one, and the teacher."""
        if self.objective.centering:
            self.update_center(torch.stack([part["logits"] for part in carried]), keep=held)
        # After a skipped step it moves towards an unchanged student.
        follow(self.teacher, self.student, share)


def check_views(recipe: Any) -> None:
    """Raise ValueError where a recipe's views, queries and encoder do not go together."""
    encoder, views, sampling = recipe.encoder, recipe.views, recipe.sampling
    windows = {"global_size": sampling.window_global, "local_size": sampling.window_local}
    for name, size in views.sizes().items():
        tokens, window = size // encoder.patch_size, windows[name]
        if tokens < window:
            raise ValueError(f"views.{name} {size} has {tokens} tokens a side, fewer than its window of {window}")
    if views.n_local and views.local_size == views.global_size and len({*windows.values()}) > 1:
        raise ValueError(
            f"views.local_size is views.global_size, {views.local_size}: views of one size go together and need one "
            f"window, but sampling.window_global is {sampling.window_global} and window_local {sampling.window_local}"
        )
    if views.shift and (encoder.position_embedding != "sincos" or encoder.timm_model):
        raise ValueError("views.shift moves the sine-cosine table: it needs encoder.position_embedding 'sincos'")


def draw_plan(recipe: Any, width: int, height: int, random: np.random.Generator, *, places: bool) -> Plan:
    """Draw the teacher's view, the student's, the queries of each of the student's, and, with `places`, where these lie in the
    teacher's view."""
    views, sampling = recipe.views, recipe.sampling
    boxes = draw_boxes(width, height, views, random)
    flips = draw_flips(len(boxes), views.flip, random)
    parameters = [draw_photometric(random, views.strength) for _ in boxes]
    generator = torch.Generator().manual_seed(int(random.integers(2**62)))
    windows = [sampling.window_global] + [sampling.window_local] * views.n_local
    drawn = {
        "queries": [
            draw_queries(1, side // recipe.encoder.patch_size, window, sampling.mode, generator)[0]
            for (_, side), window in zip(boxes[1:], windows)
        ]
    }
    drawn |= draw_paths(len(boxes) - 1, recipe, random)
    if places:
        size = views.global_size
        drawn["places"] = [
            places_in_teacher(queries, side // recipe.encoder.patch_size, box, size, flip, flips[0])
            for queries, (box, side), flip in zip(drawn["queries"], boxes[1:], flips[1:])
        ]
    if views.shift:
        shifts = random.uniform(0, views.shift, (len(boxes), 2)).astype(np.float32)
        drawn["shifts"] = list(torch.from_numpy(shifts))
    return Plan(boxes, flips, parameters, views.student_from == "teacher", drawn)


def draw_boxes(width: int, height: int, views: Views, random: np.random.Generator) -> list[tuple[Box, int]]:
    """Draw box and side of every view: the teacher's in the image, the student's in what `views.student_from` says."""
    size = views.global_size
    boxes = [(draw_box(width, height, views.teacher_scale, random), size)]
    if views.student_from == "teacher":
        width, height = size, size
    boxes.append((draw_box(width, height, views.global_scale, random), size))
    boxes += [(draw_box(width, height, views.local_scale, random), views.local_size) for _ in range(views.n_local)]
    return boxes


def _moved(batch: Batch) -> dict[str, list[torch.Tensor]]:
    """Return the draws of stochastic depth and how far positions are moved, where there are some."""
    return {name: batch.drawn.get(name, []) for name in ("paths", "shifts")}
