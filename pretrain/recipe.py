"""The sections of a pretraining recipe, as frozen dataclasses; defaults are the published settings."""

from collections.abc import Iterable
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from flsl.architecture import EncoderConfig
from flsl.objective import HeadConfig, Loss, MeanShift, Stage, Temperature
from flsl.runtime.config import override_config, read_config
from flsl.runtime.errors import UserError
from flsl.runtime.precision import Precision
from flsl.runtime.schema import (
    Count,
    NotNegative,
    Pixels,
    Positive,
    PositiveInt,
    Share,
    ShareBelowOne,
    Workers,
    parse,
    section,
)

Area = Annotated[float, Field(gt=0, le=1)]  # a share of an image's


@section
class Views:
    """Sizes in pixels and area ranges of the random resized crops; all but the teacher's are cut from its crop.

    The last four are not published: `student_from` "image" cuts the student's crops from the image, so that they need not lie
    in the teacher's; `flip` is the chance of a horizontal flip, drawn for each view; `strength` multiplies the ranges of
    brightness, contrast, saturation and hue; the positions of each view start at a place drawn between 0 and `shift` tokens
    along both axes, so that they say how tokens lie to each other, but not where in the view.
    """

    global_size: Pixels = 224
    local_size: Pixels = 96
    n_local: Annotated[int, Field(ge=0, le=100)] = 2
    teacher_scale: tuple[Area, Area] = (0.8, 1.0)
    global_scale: tuple[Area, Area] = (0.5, 1.0)
    local_scale: tuple[Area, Area] = (0.05, 0.4)
    student_from: Literal["teacher", "image"] = "teacher"
    flip: Share = 0.0
    strength: Annotated[float, Field(ge=0, le=2.5)] = 1.0  # at 2.5 brightness and contrast may vanish
    shift: Annotated[float, Field(ge=0, le=10_000)] = 0.0

    def __post_init__(self):
        for name in ("teacher_scale", "global_scale", "local_scale"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be (smallest, largest), but is ({low:g}, {high:g})")


@section
class SamplingSection:
    """Query sampling: `stride` (published settings) or `random` (paper), and the windows in tokens."""

    mode: Literal["stride", "random"] = "stride"
    window_global: PositiveInt = 3
    window_local: PositiveInt = 2


@section
class Optimizer:
    """AdamW; `lr` is for 256 images a step and scales linearly with the global batch."""

    lr: Positive = 5e-4
    final_lr: NotNegative = 1e-6
    warmup_fraction: Share = 0.1  # of the epochs
    weight_decay: NotNegative = 0.04
    weight_decay_end: NotNegative = 0.4
    ema_momentum: Share = 0.996
    ema_momentum_end: Share = 1.0
    clip: NotNegative = 3.0  # per parameter tensor; 0 switches it off
    freeze_last_layer: Count = 1  # epochs


@section
class Training:
    """The run: `batch_size` is global, over all ranks and accumulated micro-batches."""

    epochs: Annotated[int, Field(ge=1, le=10**6)] = 300
    batch_size: PositiveInt = 512
    accumulate: PositiveInt = 1
    drop_path: ShareBelowOne = 0.1
    precision: Precision = "auto"  # auto: bf16 where the hardware multiplies it fast
    photometric: Literal["auto", "device", "workers"] = "auto"  # auto: workers on a CPU
    seed: Count = 0
    deterministic: bool = False  # on a GPU too a run repeats, and goes on, bit for bit; slower

    def __post_init__(self):
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of accumulate {self.accumulate}")


@section
class Runtime:
    """What changes speed, memory, what is kept and when a run gives up, but no result: an interrupted run may go on with
    other values."""

    workers: Workers | None = None  # data loading processes of a rank; 0: the training process; None: by the cores
    compile: bool | None = None  # the same computation up to rounding; None: on a GPU, unless training.deterministic
    cuda_graph: bool = True  # on one GPU, a step is recorded once and replayed
    activation_checkpointing: bool = False
    log_every: PositiveInt = 10  # steps
    checkpoint_minutes: Positive = 10.0  # between training states, which are written beside the training
    checkpoint_every: Count = 0  # steps between further ones; 0: none
    keep: PositiveInt = 3  # newest training states
    max_skipped_steps: Count = 10  # non-finite
    max_unreadable: Share = 0.001  # share of the images
    wandb: bool = False  # mirror TensorBoard to Weights & Biases
    pictures_every: Count = 10  # epochs between TensorBoard pictures; 0 is never


@section
class ProbeSection:
    """When the online probe looks at the teacher's features; no result depends on it. It also looks before the first
    step and after the last one."""

    epochs: Count = 0  # between looks; 0 is never, unless minutes are given
    minutes: NotNegative = 0.0  # after so many at the latest; 0 is no limit
    images: Annotated[int, Field(ge=2, le=10_000)] = 64  # of the training data, and as many labeled ones

    @property
    def on(self) -> bool:
        """Tell whether anything is probed."""
        return bool(self.epochs or self.minutes)


@section
class Recipe:
    """One pretraining recipe."""

    name: Annotated[str, Field(min_length=1)] = "FLSL"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    views: Views = field(default_factory=Views)
    sampling: SamplingSection = field(default_factory=SamplingSection)
    mean_shift: MeanShift = field(default_factory=MeanShift)
    temperature: Temperature = field(default_factory=Temperature)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    training: Training = field(default_factory=Training)
    stage: Stage | None = None
    probe: ProbeSection = field(default_factory=ProbeSection)
    runtime: Runtime = field(default_factory=Runtime)

    def __post_init__(self):
        encoder, views, sampling = self.encoder, self.views, self.sampling
        patch = encoder.patch_size
        sizes = [("views.global_size", views.global_size, sampling.window_global)]
        if views.n_local:
            sizes.append(("views.local_size", views.local_size, sampling.window_local))
        for name, size, window in sizes:
            if size % patch:
                raise ValueError(f"{name} {size} is no multiple of encoder.patch_size {patch}")
            if size // patch < window:
                raise ValueError(f"{name} {size} has {size // patch} tokens a side, fewer than its window of {window}")
        windows = sampling.window_global, sampling.window_local
        if views.n_local and views.local_size == views.global_size and windows[0] != windows[1]:
            raise ValueError(
                f"views.local_size is views.global_size, {views.local_size}: views of one size go together and need one "
                f"window, but sampling.window_global is {windows[0]} and window_local {windows[1]}"
            )
        if encoder.position_embedding not in ("sincos", "learned") and not encoder.timm_model:
            raise ValueError(
                f"encoder.position_embedding {encoder.position_embedding!r} comes with a checkpoint; "
                "an encoder is pretrained with 'sincos' or 'learned'"
            )
        if views.shift and (encoder.position_embedding != "sincos" or encoder.timm_model):
            raise ValueError("views.shift moves the sine-cosine table: it needs encoder.position_embedding 'sincos'")
        if (encoder.image_mean, encoder.image_std) != (EncoderConfig.image_mean, EncoderConfig.image_std):
            raise ValueError("encoder.image_mean and image_std cannot be changed: views are normalized with ImageNet's")
        prior, centroids = self.loss.prior, self.head.centroids
        if prior is not None and len(prior) != centroids:
            raise ValueError(f"loss.prior has {len(prior)} values, but head.centroids is {centroids}")

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved recipe as plain nested values."""
        return asdict(self)


def read_recipe(recipe: "str | Path | Recipe", overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file (or take a recipe), and apply `--set` overrides.

    Raises:
        UserError: an unknown key (the nearest valid one is named), a wrong type, a value out of range, or values that
            contradict each other; all of them at once.
    """
    config = recipe.to_dict() if isinstance(recipe, Recipe) else read_config(recipe)
    if not config:
        raise UserError(f"config {recipe} is empty; a recipe has sections such as encoder, head, training")
    # A section that a recipe leaves out has its defaults, and can still be overridden.
    return parse(Recipe, override_config(config, overrides, optional=Recipe.__dataclass_fields__), "")
