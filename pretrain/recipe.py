"""The sections that pretraining recipes of every method have, as frozen dataclasses; defaults are FLSL's published settings."""

from collections.abc import Iterable
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from flsl.architecture import EncoderConfig
from flsl.objective import SCALE
from flsl.runtime.config import override_config, read_config
from flsl.runtime.errors import UserError, unknown_key
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
from pretrain.methods import load_method, method_names

Name = Annotated[str, Field(min_length=1)]
Area = Annotated[float, Field(gt=0, le=1)]  # a share of an image's
Strength = Annotated[float, Field(ge=0, le=2.5)]  # of color jitter; at 2.5 brightness and contrast may vanish


@section
class Views:
    """Sizes in pixels (`..._size`) and area ranges (`..._scale`) of the random resized crops; a method has more of them."""

    global_size: Pixels = 224

    def __post_init__(self):
        for name in (one.name for one in fields(self) if one.name.endswith("_scale")):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be (smallest, largest), but is ({low:g}, {high:g})")

    def sizes(self) -> dict[str, int]:
        """Return the sizes that views have, by key: that of local views only where there are some."""
        names = [one.name for one in fields(self) if one.name.endswith("_size")]
        return {name: getattr(self, name) for name in names if name != "local_size" or getattr(self, "n_local", True)}


@section
class Optimizer:
    """AdamW; `lr` is for 256 images a step and scales linearly with the global batch."""

    lr: Positive = 5e-4
    final_lr: NotNegative = 1e-6
    warmup_fraction: Share = 0.1  # of the epochs
    weight_decay: NotNegative = 0.04
    weight_decay_end: NotNegative = 0.4
    clip: NotNegative = 3.0  # per parameter tensor; 0 switches it off


@section
class TeacherOptimizer(Optimizer):
    """Beside it a teacher that follows the student."""

    ema_momentum: Share = 0.996
    ema_momentum_end: Share = 1.0


@section
class CentroidOptimizer(TeacherOptimizer):
    """Both have a head whose last layer starts frozen."""

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
    join_views: bool = False  # views of all sizes go through the linear layers together: the same up to rounding
    activation_checkpointing: bool = False
    log_every: PositiveInt = 10  # steps
    checkpoint_minutes: Positive = 10.0  # between training states, which are written beside the training
    checkpoint_every: Count = 0  # steps between further ones; 0: none
    keep: PositiveInt = 3  # newest training states
    max_skipped_steps: Count = 10  # non-finite
    max_unreadable: Share = 0.001  # share of the images
    wandb: bool = False  # mirror TensorBoard to Weights & Biases
    pictures_every: Count = 10  # epochs between pictures of features (files and TensorBoard); 0 is never


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
    """What every pretraining recipe has; the recipe of a method (`pretrain/methods/`) adds the method's own keys."""

    name: Name = "FLSL"
    method: str = "flsl"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    views: Views = field(default_factory=Views)
    optimizer: Optimizer = field(default_factory=Optimizer)
    training: Training = field(default_factory=Training)
    probe: ProbeSection = field(default_factory=ProbeSection)
    runtime: Runtime = field(default_factory=Runtime)

    def __post_init__(self):
        encoder = self.encoder
        for name, size in self.views.sizes().items():
            if size % encoder.patch_size:
                raise ValueError(f"views.{name} {size} is no multiple of encoder.patch_size {encoder.patch_size}")
        if encoder.position_embedding not in ("sincos", "learned") and not encoder.timm_model:
            raise ValueError(
                f"encoder.position_embedding {encoder.position_embedding!r} comes with a checkpoint; "
                "an encoder is pretrained with 'sincos' or 'learned'"
            )
        if (encoder.image_mean, encoder.image_std) != (EncoderConfig.image_mean, EncoderConfig.image_std):
            raise ValueError("encoder.image_mean and image_std cannot be changed: views are normalized with ImageNet's")

    @property
    def attention_scale(self) -> float:
        """The mean-shift's inverse temperature by which the probe tells how flat attention is."""
        return 0.2 * SCALE

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved recipe as plain nested values."""
        return asdict(self)


def read_recipe(recipe: "str | Path | Recipe", overrides: Iterable[str] = ()) -> Any:
    """Read a recipe file (or take a recipe), and apply `--set` overrides.

    `--set method=NAME` takes of the file what both methods have in common: the sections that are the same in both.

    Returns:
        A recipe of its method (`pretrain.methods`): a `Recipe` with the method's own sections.

    Raises:
        UserError: an unknown key (the nearest valid one is named), a wrong type, a value out of range, or values that
            contradict each other; all of them at once. Of a network of timm's, what it has otherwise.
    """
    config = _plain_values(recipe) if isinstance(recipe, Recipe) else read_config(recipe)
    if not config:
        raise UserError(f"config {recipe} is empty; a recipe has sections such as encoder, head, training")
    overrides = list(overrides)
    written = config.get("method", Recipe.method)
    chosen = [o.partition("=")[2].strip(" '\"") for o in overrides if o.partition("=")[0].strip() == "method"]
    name = chosen[-1] if chosen else written
    wanted = load_method(name).Recipe
    known = _sections(wanted)
    if name != written:
        there = _sections(load_method(written).Recipe)
        config = {k: v for k, v in config.items() if k != "name" and (k not in there or known.get(k) is there[k])}
        config["method"] = name
    # A section that a recipe leaves out has its defaults, and can still be overridden.
    config = override_config(config, overrides, optional=known)
    for key in config.keys() - known.keys():
        others = [other for other in method_names() if key in _sections(load_method(other).Recipe)]
        if others:
            where = " and ".join(map(repr, others))
            raise UserError(f"{unknown_key(key, key, known)} It is a section of method {where}; this one is {name!r}.")
    if _names_network(config.get("encoder")):
        from flsl.timm_network import complete_section  # timm takes seconds to import

        config["encoder"] = complete_section(config["encoder"])
    return parse(wanted, config, "")


def _plain_values(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's values; beside a network of timm's, what is as it is by default was not said of it."""
    config = recipe.to_dict()
    if recipe.encoder.timm_model is not None:
        usual = EncoderConfig().to_dict()
        config["encoder"] = {key: value for key, value in config["encoder"].items() if value != usual[key]}
    return config


def _names_network(section: Any) -> bool:
    """Tell whether an encoder section names a network of timm's, by values that can be read."""
    if not isinstance(section, dict) or not isinstance(section.get("timm_model"), str):
        return False
    arguments = section.get("timm_arguments", {})
    return isinstance(arguments, dict) and all(isinstance(name, str) for name in arguments)


def _sections(recipe: type[Recipe]) -> dict[str, Any]:
    """Return the types of a recipe's sections and other keys."""
    return {one.name: one.type for one in fields(recipe)}
