"""What every recipe of a fine-tuning can say; its kind (detector, segmentation) adds sections and keys of its own."""

from collections.abc import Iterable
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from flsl.runtime.config import override_config, read_config
from flsl.runtime.precision import Precision
from flsl.runtime.schema import Count, NotNegative, Positive, PositiveInt, ShareBelowOne, Workers, parse, section

Side = Annotated[int, Field(ge=2, le=2**15 - 1)]  # OpenCV resizes to no more
Factor = Annotated[float, Field(ge=0.01, le=100)]
ShareAboveZero = Annotated[float, Field(gt=0, le=1)]
Block = Annotated[int, Field(ge=0, le=999)]  # 0-based
Batch = Annotated[int, Field(ge=1, le=2**16)]


@section
class EncoderSection:
    """The encoder as a backbone; the heads on it are the kind's own keys."""

    encoder: str | None = None  # e.g. "vit_small/16": the encoder that the recipe is for; None takes any
    blocks: tuple[Block, Block, Block, Block] | None = None  # taps, ascending; None scales the kind's own to the depth
    num_heads: PositiveInt | None = None  # None: the architecture's; another number is an ablation
    drop_path: ShareBelowOne = 0.05
    frozen_blocks: Count = 0
    window: Annotated[int, Field(ge=2, le=128)] | None = None  # attention windows, in tokens; None attends globally
    global_blocks: tuple[Block, ...] = ()  # attend globally all the same

    def __post_init__(self):
        for name in ("blocks", "global_blocks"):
            require_ascending(name, getattr(self, name) or ())
        if self.global_blocks and self.window is None:
            raise ValueError("global_blocks are those without a window, so they need window, a side in tokens")


@section
class OptimizationSection:
    """AdamW. `learning_rate` holds at `base_batch`; `auto_scale` multiplies it by batch / base_batch."""

    batch: Batch = 16  # all devices together
    iterations: PositiveInt | None = None
    learning_rate: Positive = 1e-4
    base_batch: Batch = 16
    auto_scale: bool = True
    weight_decay: NotNegative = 0.05
    layer_decay: ShareAboveZero | None = None  # factor on the learning rate from each block to the one below it
    warmup_iterations: Count = 1000
    warmup_factor: ShareAboveZero = 0.001
    clip_norm: Positive | None = None  # of all gradients together
    precision: Precision = "fp32"
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None  # momentum of an average of the weights, which is evaluated

    @property
    def scaled_learning_rate(self) -> float:
        """The learning rate at the recipe's batch (linear scaling, unless `auto_scale` is off)."""
        return self.learning_rate * (self.batch / self.base_batch if self.auto_scale else 1)

    def steps(self, images: int) -> int:
        """Return the number of iterations for so many training images."""
        return self.iterations or 1

    def schedule(self, total: int) -> tuple[dict[str, Any], str]:
        """Return mmengine's scheduler, which multiplies the warm-up, and how the learning rate falls in words."""
        # mmengine reaches the end one step early; the one after the last keeps (1 - step / total).
        scheduler = {"type": "PolyLR", "by_epoch": False, "power": 1.0, "eta_min": 0.0, "begin": 0, "end": total + 1}
        return scheduler, "falling to 0 linearly"


@section
class RuntimeSection:
    """What changes speed and memory, and no result: such keys may differ between runs of one protocol."""

    workers: Workers = 4  # data loading processes a device; 0: the training process loads
    checkpoint_activations: bool | None = False  # recompute them; None: where they might not fit into the GPU's memory
    checkpoint_every: PositiveInt = 2000  # iterations between resumable states
    tensorboard: bool = False


@section
class TestingSection:
    """How predictions are made."""

    batch: Batch = 1
    precision: Precision = "fp32"


@section
class FinetuneRecipe:
    """One recipe. `protocol` is its name and version; it is part of a result's key."""

    protocol: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+-]+(@[1-9][0-9]*)?$")]
    model: EncoderSection
    training: OptimizationSection
    testing: TestingSection = field(default_factory=TestingSection)
    runtime: RuntimeSection = field(default_factory=RuntimeSection)


def identity_of(recipe: FinetuneRecipe) -> dict[str, Any]:
    """Return what a result depends on, as nested plain values: everything but the section `runtime`."""
    return {key: value for key, value in asdict(recipe).items() if key != "runtime"}


def require_ascending(name: str, values: tuple[float, ...]) -> None:
    """Raise ValueError, naming the key, unless the values rise from one to the next."""
    if list(values) != sorted(set(values)):
        raise ValueError(f"{name} must rise from one to the next, but is {values}")


R = TypeVar("R", bound=FinetuneRecipe)


def read_recipe(path: Path, overrides: Iterable[str] = (), *, cls: type[R]) -> R:
    """Read a recipe file.

    Args:
        path: the recipe.
        overrides: `section.key=value` strings.
        cls: the benchmark's recipe.

    Returns:
        The recipe, defaults filled in. An override that changes results (any section but `runtime`) turns the protocol's
        name `x@1` into `x-modified@1`, so that its figures are never ranked with the protocol's own. Attention windows
        are named too: `x-window14@1`.

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
    return replace(recipe, protocol=f"{name}{suffix}@{version or 1}")
