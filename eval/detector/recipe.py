"""What a detector recipe can say: the sections of configs/coco/*.py and configs/uavdt/*.py."""

from collections.abc import Iterable
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from flsl.runtime.config import read_config
from flsl.runtime.precision import Precision
from flsl.runtime.schema import parse, section


@section
class ModelSection:
    """The detector; defaults are those of the published 1x recipe (docs/protocols.md, "COCO 2017")."""

    detector: Literal["mask-rcnn", "faster-rcnn"]
    encoder: str | None = None  # e.g. "vit_small/16": the encoder that the recipe is for; None takes any
    blocks: tuple[int, int, int, int] | None = None  # taps, 0-based; None scales (3, 5, 7, 11) to the depth
    num_heads: int | None = None  # None: the architecture's; another number is an ablation
    drop_path: float = 0.05
    frozen_blocks: int = 0
    window: int | None = None  # attention windows, in tokens; None attends globally
    global_blocks: tuple[int, ...] = ()  # attend globally all the same
    fpn_channels: int = 256
    box_convs: int = 0  # shared convolutions of the box head, before its fully connected layers
    fc_layers: int = 2
    fc_channels: int = 1024
    class_agnostic: bool = False  # one box and one mask a region in place of one a category: learns from fewer objects
    head_norm: Literal["GN"] | None = None  # group normalization in pyramid and heads: learns faster from scratch
    mask_channels: int = 256
    mask_convs: int = 4
    anchor_scale: int = 8  # an anchor's side on a level of stride s is anchor_scale * s
    rpn_samples: int = 256
    roi_samples: int = 512
    roi_positives: float = 0.25  # at most this share of them
    train_proposals: tuple[int, int] = (2000, 1000)  # before and after non-maximum suppression
    test_proposals: tuple[int, int] = (1000, 1000)
    ignore_overlap: float | None = None  # candidates covered this far by an ignored region take no part in training

    def __post_init__(self):
        if self.window is not None and self.window < 2:
            raise ValueError(f"window must be at least 2 tokens, not {self.window}")


@section
class ImagesSection:
    """Sizes and augmentation."""

    train_short_sides: tuple[int, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    test_short_side: int = 800
    longest_side: int = 1333
    crop: bool = True  # every other image: resize to 400/500/600, crop 384x600, then resize
    flip: float = 0.5
    scale_jitter: tuple[float, float] | None = None  # ViTDet's large-scale jitter in place of sizes and crop
    jitter_size: int = 1024


@section
class TrainingSection:
    """Optimization. `learning_rate` holds at `base_batch`; `auto_scale` multiplies it by batch / base_batch."""

    batch: int = 16  # all devices together
    epochs: float = 12
    milestones: tuple[float, ...] = (8, 11)  # epochs after which the learning rate is a tenth
    iterations: int | None = None  # shortens the run; milestones move along
    learning_rate: float = 1e-4
    base_batch: int = 16
    auto_scale: bool = True
    weight_decay: float = 0.05
    layer_decay: float | None = None  # factor on the learning rate from each block to the one below it
    warmup_iterations: int = 1000
    warmup_factor: float = 0.001
    clip_norm: float | None = None  # of all gradients together
    precision: Precision = "fp32"
    ema: float | None = None  # momentum of an averaged copy of the weights, which is then the one evaluated
    keep_empty_images: bool = False  # train also on images without annotations

    def __post_init__(self):
        if self.batch < 1 or self.base_batch < 1:
            raise ValueError("batch and base_batch must be at least 1")
        if self.epochs <= 0 or (self.iterations is not None and self.iterations < 1):
            raise ValueError("epochs and iterations must be positive")
        if any(not 0 < epoch < self.epochs for epoch in self.milestones):
            raise ValueError(f"milestones {self.milestones} must lie within the {self.epochs:g} epochs")


@section
class TestingSection:
    """What counts as a detection."""

    score_threshold: float = 0.05
    nms_overlap: float = 0.5
    max_detections: int = 100
    batch: int = 1
    precision: Precision = "fp32"


@section
class RuntimeSection:
    """What changes speed and memory, and no result: such keys may differ between runs of one protocol."""

    workers: int = 4  # data loading processes a device; 0 loads in the training process
    checkpoint_activations: bool = False
    checkpoint_every: int = 2000  # iterations between resumable states
    tensorboard: bool = False


@section
class Recipe:
    """One recipe. `protocol` is its name and version; it is part of a result's key."""

    protocol: str
    model: ModelSection
    images: ImagesSection = field(default_factory=ImagesSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    testing: TestingSection = field(default_factory=TestingSection)
    runtime: RuntimeSection = field(default_factory=RuntimeSection)


R = TypeVar("R", bound=Recipe)


def read_recipe(path: Path, overrides: Iterable[str] = (), cls: type[R] = Recipe) -> tuple[R, dict[str, Any]]:
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
    overrides = list(overrides)
    recipe = parse(cls, read_config(path, overrides), "")
    published = parse(cls, read_config(path), "") if overrides else recipe
    model = replace(recipe.model, window=published.model.window, global_blocks=published.model.global_blocks)
    suffix = "-modified" if replace(recipe, runtime=published.runtime, model=model) != published else ""
    if recipe.model.window is not None:
        blocks = ".".join(map(str, recipe.model.global_blocks))
        suffix += f"-window{recipe.model.window}" + (f"-global{blocks}" if blocks else "")
    name, _, version = recipe.protocol.partition("@")
    recipe = replace(recipe, protocol=f"{name}{suffix}@{version or 1}")
    return recipe, asdict(recipe)


def identity_of(recipe: Recipe) -> dict[str, Any]:
    """Return what of a recipe changes results, as plain values: all but its runtime section."""
    return {name: value for name, value in asdict(recipe).items() if name != "runtime"}
