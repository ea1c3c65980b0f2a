"""Named encoder sizes and the full description of one encoder."""

import difflib
from dataclasses import asdict, field
from typing import Annotated, Any, Literal

from pydantic import Field

from flsl.runtime.schema import Count, Depth, Pixels, Positive, Width, section

# name -> (width, blocks, heads). Heads are width / 64, but for vit_huge (80 wide in every public one), and never come
# from a recipe (docs/method.md, "Pitfalls").
ARCHITECTURES = {
    "vit_nano": (128, 4, 2),
    "vit_micro": (192, 4, 3),
    "vit_mini": (192, 6, 3),
    "vit_tiny": (192, 12, 3),
    "vit_small": (384, 12, 6),
    "vit_base": (768, 12, 12),
    "vit_large": (1024, 24, 16),
    "vit_huge": (1280, 32, 16),
    "vit_giant2": (1536, 40, 24),
}


@section
class EncoderConfig:
    """What an encoder is: enough to build it and to load its weights strictly.

    `architecture` is a name of `ARCHITECTURES`, which sets width, depth and heads, or "custom", which needs all three.
    `image_size` is the pretraining size: it fixes the grid of the position table. `position_prefix` is the number of
    rows that the table has for class and register tokens (None: one for the class token). `position_embedding` is
    `sincos` (our fixed table), `learned`, or `fixed` (another table, which a checkpoint brings and training leaves).
    `image_mean` and `image_std` are the constants that images were normalized with in pretraining. `timm_model` names a
    timm network that is no plain ViT (rotary positions, ...); `timm_arguments` are what differs from it. The other fields are what
    that network has, which a recipe leaves out; MLP, biases, LayerScale and final norm are its own, whatever stands here.

    Raises:
        ValueError: unknown architecture, missing or contradicting sizes.
    """

    architecture: str = "vit_small"
    patch_size: Pixels = 16
    image_size: Pixels = 224
    embed_dim: Width = 0  # left out, these three are what the architecture says
    depth: Depth = 0
    num_heads: Width = 0
    mlp_ratio: Annotated[float, Field(gt=0, le=1000)] = 4.0
    class_token: bool = False
    register_tokens: Annotated[int, Field(ge=0, le=1000)] = 0
    position_embedding: Literal["sincos", "learned", "fixed", "rope"] = "sincos"
    position_interpolation: Literal["dino", "size", "size_plain"] = "dino"
    position_prefix: Count | None = None
    final_norm: bool = True
    norm_eps: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    layer_scale: bool = False
    qkv_bias: bool = True
    mlp: Literal["gelu", "swiglu"] = "gelu"
    image_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    image_std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    timm_model: str | None = None
    timm_arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        sizes = ("embed_dim", "depth", "num_heads")
        if self.architecture == "custom":
            missing = [name for name in sizes if not getattr(self, name)]
            if missing:
                raise ValueError(f"architecture 'custom' needs {', '.join(missing)}")
        elif self.architecture in ARCHITECTURES:
            for name, value in zip(sizes, ARCHITECTURES[self.architecture]):
                if getattr(self, name) not in (0, value):
                    raise ValueError(
                        f"{name} of {self.architecture} is {value}, not {getattr(self, name)}; "
                        "use architecture 'custom' for other sizes"
                    )
                object.__setattr__(self, name, value)
        else:
            near = difflib.get_close_matches(self.architecture, ARCHITECTURES, n=1, cutoff=0.3)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(ARCHITECTURES)
            raise ValueError(f"unknown architecture {self.architecture!r}.{hint} Known: {known}, custom")
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} is no multiple of num_heads {self.num_heads}")
        if self.timm_model is None:
            self._check_plain()

    def _check_plain(self) -> None:
        """Refuse what no plain ViT can be."""
        if self.timm_arguments:
            raise ValueError("timm_arguments are those of a timm_model, which is not named")
        if self.position_embedding == "sincos" and self.embed_dim % 4:
            raise ValueError(f"the sincos position table needs an embed_dim that 4 divides, not {self.embed_dim}")
        if self.position_embedding == "rope":
            raise ValueError("position_embedding 'rope' is that of timm's networks: it needs a timm_model")
        tokens = int(self.class_token) + self.register_tokens
        if (self.position_prefix or 0) > tokens:
            raise ValueError(
                f"position_prefix {self.position_prefix} is more than the {tokens} class and register tokens"
            )
        hidden = int(self.embed_dim * self.mlp_ratio)
        if hidden < 1 or (self.mlp == "swiglu" and hidden % 2):
            wanted = "an even number of values" if self.mlp == "swiglu" else "a value"
            raise ValueError(f"mlp_ratio {self.mlp_ratio:g} leaves the MLP {hidden} wide; it needs {wanted}")

    @property
    def grid(self) -> int:
        """Tokens along one side of the position table."""
        return self.image_size // self.patch_size

    @property
    def name(self) -> str:
        """Short name such as `vit_small/16`; custom sizes spell out width, depth and heads."""
        if self.timm_model:
            return f"{self.timm_model}/{self.patch_size}"
        size = self.architecture
        if size == "custom":
            size = f"vit_{self.embed_dim}x{self.depth}h{self.num_heads}"
        return f"{size}/{self.patch_size}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values (for JSON)."""
        return asdict(self)

    def beyond_weights(self) -> dict[str, Any]:
        """Return what makes another function of the same tensors, where it is not the usual: heads of 64, positions as DINO's,
        images normalized as ImageNet's, norms of a plain ViT with epsilon 1e-6 (a network of timm's has its own by its name)."""
        found: dict[str, Any] = {}
        if self.architecture == "custom" and self.num_heads != max(self.embed_dim // 64, 1):
            found["num_heads"] = self.num_heads
        if self.position_interpolation != "dino":
            found["position_interpolation"] = self.position_interpolation
        for name in ("image_mean", "image_std", *(("norm_eps",) if self.timm_model is None else ())):
            if getattr(self, name) != getattr(EncoderConfig, name):
                found[name] = getattr(self, name)
        return found


def named(embed_dim: int, depth: int, num_heads: int) -> str:
    """Return the name of the architecture with these sizes, or "custom"."""
    return next((k for k, v in ARCHITECTURES.items() if v == (embed_dim, depth, num_heads)), "custom")
