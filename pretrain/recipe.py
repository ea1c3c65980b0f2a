"""The sections of a pretraining recipe, as frozen dataclasses; defaults are the published settings."""

from dataclasses import asdict, field
from pathlib import Path
from typing import Any, Literal

from flsl.architecture import EncoderConfig
from flsl.model import HeadConfig
from flsl.runtime.config import read_config
from flsl.runtime.errors import UserError
from flsl.runtime.precision import Precision
from flsl.runtime.schema import parse, section

Range = tuple[float, float]


@section
class Views:
    """Sizes in pixels and area ranges of the random resized crops; all but the teacher's are cut from its crop."""

    global_size: int = 224
    local_size: int = 96
    n_local: int = 2
    teacher_scale: Range = (0.8, 1.0)
    global_scale: Range = (0.5, 1.0)
    local_scale: Range = (0.05, 0.4)


@section
class SamplingSection:
    """Query sampling: `stride` (published settings) or `random` (paper), and the windows in tokens."""

    mode: Literal["stride", "random"] = "stride"
    window_global: int = 3
    window_local: int = 2


@section
class MeanShift:
    """Inverse temperatures of both mean-shifts; an optional start value makes a cosine schedule."""

    scale_sa: float = 0.1 / 384**0.5
    scale_ca: float = 0.2 / 384**0.5
    scale_sa_start: float | None = None
    scale_ca_start: float | None = None

    def __post_init__(self):
        starts = (
            self.scale_sa if self.scale_sa_start is None else self.scale_sa_start,
            self.scale_ca if self.scale_ca_start is None else self.scale_ca_start,
        )
        if self.scale_ca < self.scale_sa or starts[1] < starts[0]:
            raise ValueError("scale_ca must not be smaller than scale_sa at any time: training collapses")


@section
class Temperature:
    """Softmax temperatures; the teacher's rises linearly over the warm-up epochs."""

    student: float = 0.1
    teacher_start: float = 0.04
    teacher: float = 0.07
    warmup_epochs: int = 30


@section
class Loss:
    """Weights and options of the objective."""

    upsilon: float = 0.03
    upsilon_start: float | None = None
    eta: float = 1.0
    gamma: float = 5.0
    volume_maximization: bool = True
    centering: bool = False
    center_momentum: float = 0.9
    layernorm_on_mode: bool = False


@section
class Optimizer:
    """AdamW; `lr` is for 256 images a step and scales linearly with the global batch."""

    lr: float = 5e-4
    final_lr: float = 1e-6
    warmup_fraction: float = 0.1  # of the epochs
    weight_decay: float = 0.04
    weight_decay_end: float = 0.4
    ema_momentum: float = 0.996
    ema_momentum_end: float = 1.0
    clip: float = 3.0  # per parameter tensor; 0 switches it off
    freeze_last_layer: int = 1  # epochs


@section
class Stage:
    """Multi-stage training: the semantic constraint of an earlier stage's encoder."""

    checkpoint: str
    attention_level: int = 12
    scale: float = 0.2 / 384**0.5
    sharpness: float = 1000.0
    mixture: float = 1.0
    mixture_start: float = 0.0


@section
class Training:
    """The run: `batch_size` is global, over all ranks and accumulated micro-batches."""

    epochs: int = 300
    batch_size: int = 512
    accumulate: int = 1
    drop_path: float = 0.1
    precision: Precision = "auto"  # auto: bf16 where the hardware multiplies it fast
    photometric: Literal["auto", "device", "workers"] = "auto"  # auto: workers on a CPU
    workers: int = 8  # a rank
    seed: int = 0
    compile: bool = False
    activation_checkpointing: bool = False
    log_every: int = 10  # steps
    checkpoint_every: int = 500  # steps; the end of each epoch is saved too
    keep: int = 3  # newest training states
    max_skipped_steps: int = 10  # non-finite
    max_unreadable: float = 0.001  # share of the images
    wandb: bool = False  # mirror TensorBoard to Weights & Biases
    pictures_every: int = 10  # epochs between TensorBoard pictures; 0 is never

    def __post_init__(self):
        for name in ("epochs", "batch_size", "accumulate", "log_every", "checkpoint_every", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


@section
class Recipe:
    """One pretraining recipe."""

    name: str = "FLSL"
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

    def __post_init__(self):
        patch, views, sampling = self.encoder.patch_size, self.views, self.sampling
        sizes = [("views.global_size", views.global_size, sampling.window_global)]
        if views.n_local:
            sizes.append(("views.local_size", views.local_size, sampling.window_local))
        for name, size, window in sizes:
            if size % patch:
                raise ValueError(f"{name} {size} is no multiple of encoder.patch_size {patch}")
            if size // patch < window:
                raise ValueError(f"{name} {size} has {size // patch} tokens a side, fewer than its window of {window}")

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved recipe as plain nested values."""
        return asdict(self)


def read_recipe(path: str | Path, overrides: list[str]) -> Recipe:
    """Read a recipe file and `--set` overrides.

    Raises:
        UserError: unknown key (the nearest valid one is named), wrong type, contradicting values.
    """
    # A section that a recipe leaves out has its defaults, and can still be overridden.
    names = {override.split(".")[0].split("=")[0].strip() for override in overrides}
    config = read_config(path, overrides, optional=tuple(names & set(Recipe.__dataclass_fields__)))
    if not config:
        raise UserError(f"config {path} is empty; a recipe has sections such as encoder, head, training")
    return parse(Recipe, config, "")
