"""What a detector recipe can say: the sections of configs/coco/*.py and configs/uavdt/*.py."""

from collections.abc import Iterable
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from flsl.runtime.config import override_config, read_config
from flsl.runtime.precision import Precision
from flsl.runtime.schema import (
    Count,
    NotNegative,
    Positive,
    PositiveInt,
    Share,
    ShareBelowOne,
    Width,
    Workers,
    parse,
    plain,
    section,
)

NORM_GROUPS = 16  # of group normalization

Side = Annotated[int, Field(ge=2, le=2**15 - 1)]  # OpenCV resizes to no more
Factor = Annotated[float, Field(ge=0.01, le=100)]
ShareAboveZero = Annotated[float, Field(gt=0, le=1)]
Block = Annotated[int, Field(ge=0, le=999)]  # 0-based
Layers = Annotated[int, Field(ge=0, le=100)]
Batch = Annotated[int, Field(ge=1, le=2**16)]


@section
class ModelSection:
    """The detector; defaults are those of the published 1x recipe (docs/protocols.md, "COCO 2017")."""

    detector: Literal["mask-rcnn", "faster-rcnn"]
    encoder: str | None = None  # e.g. "vit_small/16": the encoder that the recipe is for; None takes any
    blocks: tuple[Block, Block, Block, Block] | None = None  # taps, ascending; None scales (3, 5, 7, 11) to the depth
    num_heads: PositiveInt | None = None  # None: the architecture's; another number is an ablation
    drop_path: ShareBelowOne = 0.05
    frozen_blocks: Count = 0
    window: Annotated[int, Field(ge=2, le=128)] | None = None  # attention windows, in tokens; None attends globally
    global_blocks: tuple[Block, ...] = ()  # attend globally all the same
    fpn_channels: Width = 256
    box_convs: Layers = 0  # shared convolutions of the box head, before its fully connected layers
    fc_layers: Layers = 2
    fc_channels: Width = 1024
    class_agnostic: bool = False  # one box and one mask a region in place of one a category: learns from fewer objects
    head_norm: Literal["GN"] | None = None  # group normalization in pyramid and heads: learns faster from scratch
    mask_channels: Width = 256
    mask_convs: Layers = 4
    anchor_scale: Annotated[int, Field(ge=1, le=1000)] = 8  # an anchor's side on a level of stride s is this times s
    rpn_samples: PositiveInt = 256
    roi_samples: PositiveInt = 512
    roi_positives: ShareAboveZero = 0.25  # at most this share of them
    train_proposals: tuple[PositiveInt, PositiveInt] = (2000, 1000)  # before and after non-maximum suppression
    test_proposals: tuple[PositiveInt, PositiveInt] = (1000, 1000)
    ignore_overlap: ShareAboveZero | None = None  # candidates covered this far by an ignored region take no part

    def __post_init__(self):
        for name in ("blocks", "global_blocks"):
            _require_ascending(name, getattr(self, name) or ())
        if self.global_blocks and self.window is None:
            raise ValueError("global_blocks are those without a window, so they need window, a side in tokens")
        if not self.box_convs + self.fc_layers:
            raise ValueError("box_convs and fc_layers are both 0, so that the box head has no layer")
        for name in ("fpn_channels", "mask_channels"):
            if self.head_norm and getattr(self, name) % NORM_GROUPS:
                raise ValueError(
                    f"{name} must be a multiple of {NORM_GROUPS} with head_norm 'GN', but is {getattr(self, name)}"
                )


@section
class ImagesSection:
    """Sizes in pixels, and augmentation."""

    train_short_sides: tuple[Side, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    test_short_side: Side = 800
    longest_side: Side = 1333
    crop: bool = True  # every other image: resize to 400/500/600, crop 384x600, then resize
    flip: Share = 0.5
    scale_jitter: tuple[Factor, Factor] | None = None  # ViTDet's large-scale jitter in place of sizes and crop
    jitter_size: Side = 1024

    def __post_init__(self):
        sides = {"test_short_side": self.test_short_side}
        if self.scale_jitter is None:
            if not self.train_short_sides:
                raise ValueError("train_short_sides must name at least one size")
            sides["the largest of train_short_sides"] = max(self.train_short_sides)
        elif self.scale_jitter[0] > self.scale_jitter[1]:
            raise ValueError(f"scale_jitter must be (smallest, largest) factor, but is {self.scale_jitter}")
        elif self.scale_jitter[0] * self.jitter_size < 2:
            raise ValueError(
                f"scale_jitter {self.scale_jitter} makes jitter_size {self.jitter_size} less than 2 pixels"
            )
        for name, side in sides.items():
            if side > self.longest_side:
                raise ValueError(f"{name}, {side}, must be at most longest_side, {self.longest_side}")


@section
class TrainingSection:
    """Optimization. `learning_rate` holds at `base_batch`; `auto_scale` multiplies it by batch / base_batch."""

    batch: Batch = 16  # all devices together
    epochs: Annotated[float, Field(gt=0, le=1e6)] = 12
    milestones: tuple[Positive, ...] = (8, 11)  # epochs after which the learning rate is a tenth
    iterations: PositiveInt | None = None  # shortens the run; milestones move along
    learning_rate: Positive = 1e-4
    base_batch: Batch = 16
    auto_scale: bool = True
    weight_decay: NotNegative = 0.05
    layer_decay: ShareAboveZero | None = None  # factor on the learning rate from each block to the one below it
    warmup_iterations: Count = 1000
    warmup_factor: ShareAboveZero = 0.001
    clip_norm: Positive | None = None  # of all gradients together
    precision: Precision = "fp32"
    ema: Annotated[float, Field(gt=0, lt=1)] | None = (
        None  # momentum of an averaged copy of the weights, the one evaluated
    )
    keep_empty_images: bool = False  # train also on images without annotations

    def __post_init__(self):
        _require_ascending("milestones", self.milestones)
        if any(epoch >= self.epochs for epoch in self.milestones):
            raise ValueError(f"milestones {self.milestones} must lie within the {self.epochs:g} epochs")


@section
class TestingSection:
    """What counts as a detection."""

    score_threshold: Share = 0.05
    nms_overlap: Share = 0.5
    max_detections: PositiveInt = 100
    batch: Batch = 1
    precision: Precision = "fp32"


@section
class RuntimeSection:
    """What changes speed and memory, and no result: such keys may differ between runs of one protocol."""

    workers: Workers = 4  # data loading processes a device; 0: the training process loads
    checkpoint_activations: bool = False
    checkpoint_every: PositiveInt = 2000  # iterations between resumable states
    tensorboard: bool = False


@section
class Recipe:
    """One recipe. `protocol` is its name and version; it is part of a result's key."""

    protocol: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+-]+(@[1-9][0-9]*)?$")]
    model: ModelSection
    images: ImagesSection = field(default_factory=ImagesSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    testing: TestingSection = field(default_factory=TestingSection)
    runtime: RuntimeSection = field(default_factory=RuntimeSection)


def identity_of(recipe: Recipe) -> dict[str, Any]:
    """Return what a result depends on, as nested plain values: everything but the section `runtime`."""
    return {key: value for key, value in plain(recipe).items() if key != "runtime"}


def _require_ascending(name: str, values: tuple[float, ...]) -> None:
    if list(values) != sorted(set(values)):
        raise ValueError(f"{name} must rise from one to the next, but is {values}")


R = TypeVar("R", bound=Recipe)


def read_recipe(
    path: Path,
    overrides: Iterable[str] = (),
    cls: type[R] = Recipe,  # type: ignore[assignment]  # mypy knows no default of a type variable
) -> tuple[R, dict[str, Any]]:
    """Read a recipe file.

    Args:
        path: the recipe.
        overrides: `section.key=value` strings.
        cls: `Recipe`, or a subclass with a benchmark's own sections.

    Returns:
        The recipe and its resolved form, defaults filled in, for the run's folder and record. An override that changes
        results (any section but `runtime`) turns the protocol's name `x@1` into `x-modified@1`, so that its figures
        are never ranked with the protocol's own. Attention windows are named too: `x-window14@1`.

    Raises:
        UserError: no such file, or a key or value that a recipe cannot have (the nearest key is named).
    """
    own = read_config(path)
    published = parse(cls, own, "")
    recipe = parse(cls, override_config(own, overrides), "")
    model = replace(recipe.model, window=published.model.window, global_blocks=published.model.global_blocks)
    suffix = "-modified" if replace(recipe, runtime=published.runtime, model=model) != published else ""
    if recipe.model.window is not None:
        blocks = ".".join(map(str, recipe.model.global_blocks))
        suffix += f"-window{recipe.model.window}" + (f"-global{blocks}" if blocks else "")
    name, _, version = recipe.protocol.partition("@")
    recipe = replace(recipe, protocol=f"{name}{suffix}@{version or 1}")
    return recipe, plain(recipe)
