"""Networks that timm has and that are no plain ViT: rotary positions (DINOv3, EVA-02), relative ones (BEiT), CLIP, ..."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from flsl.architecture import ARCHITECTURES, EncoderConfig
from flsl.runtime.errors import UserError

# What `describe_network` finds in a network; the rest of a description is that of plain ViTs.
SIZES = ("embed_dim", "depth", "num_heads")
FOUND = (
    *SIZES, "patch_size", "image_size", "class_token", "register_tokens", "position_embedding", "position_interpolation", "norm_eps",
)  # fmt: skip
TAKEN = ("timm_model", "timm_arguments", "image_mean", "image_std")  # as a recipe says: images are normalized outside


def create_network(name: str, **arguments: Any) -> Any:
    """Build a timm network without classifier and with random weights, for images of any size where it can.

    Its type is `Any` here: timm's families share their attributes, but no class that declares them.

    Raises:
        UserError: timm does not know the name (near ones are given), or it is no ViT.
    """
    if not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        raise UserError(
            f"timm {timm.__version__} has no network {name!r}. "
            f"{'Near names: ' + ', '.join(near) if near else 'See timm.list_models()'}."
        )
    arguments = {"num_classes": 0} | arguments
    any_size: dict[str, Any] = {"dynamic_img_size": True}
    try:
        try:
            network = timm.create_model(name, pretrained=False, **(any_size | arguments))
        except TypeError:  # a family without that option
            network = timm.create_model(name, pretrained=False, **arguments)
    except MemoryError:
        raise
    except Exception as error:  # whatever arguments from a recipe or a file may cause in timm's code
        raise UserError(f"timm {timm.__version__} cannot build {name!r} with {arguments}: {error}") from error
    if not all(
        hasattr(network, part) for part in ("blocks", "patch_embed", "num_prefix_tokens", "forward_intermediates")
    ):
        raise UserError(f"timm's {name} ({type(network).__name__}) is no vision transformer with one patch grid")
    return network


def run_network(network: Any, images: torch.Tensor, blocks: list[int], norm: bool, name: str) -> list[torch.Tensor]:
    """Return the patch tokens `(B, N, D)` after each of `blocks` (0-based, ascending), for images `(B, 3, H, W)`.

    Raises:
        UserError: a network for one size of images that gets another.
    """
    own = tuple(network.patch_embed.img_size)
    if getattr(network.patch_embed, "strict_img_size", False) and tuple(images.shape[-2:]) != own:
        raise UserError(f"{name} takes images of {own[0]}x{own[1]} pixels only (timm cannot resize it)")
    maps = network.forward_intermediates(
        images, indices=blocks, norm=norm, stop_early=True, output_fmt="NCHW", intermediates_only=True
    )
    return [tap.flatten(2).transpose(1, 2) for tap in maps]


def is_plain(network: Any) -> bool:
    """Tell whether `flsl.encoder.Encoder` computes the same: no norm before the blocks, exact GELU or SwiGLU, no extras."""
    if type(network) is not VisionTransformer or network.pos_embed is None:
        return False
    block: Any = network.blocks[0]
    activation = block.mlp.act
    exact = isinstance(activation, (nn.GELU, nn.SiLU)) and getattr(activation, "approximate", "none") == "none"
    return exact and isinstance(network.norm_pre, nn.Identity) and isinstance(block.attn.q_norm, nn.Identity)


def describe_network(network: Any, name: str, arguments: dict[str, Any] | None = None) -> EncoderConfig:
    """Return the description of a timm network, from which `flsl.encoder.Encoder` rebuilds it."""
    block, patch = network.blocks[0], network.patch_embed.patch_size[0]
    registers = getattr(network, "reg_token", None)
    positions: Literal["rope", "learned"] = "rope" if getattr(network, "rope", None) is not None else "learned"
    pretrained = network.pretrained_cfg
    return EncoderConfig(
        architecture="custom",
        patch_size=patch,
        image_size=network.patch_embed.img_size[0],
        embed_dim=network.embed_dim,
        depth=len(network.blocks),
        num_heads=block.attn.num_heads,
        class_token=getattr(network, "cls_token", None) is not None,
        register_tokens=0 if registers is None else registers.shape[1],
        position_embedding=positions,
        position_interpolation="size",
        norm_eps=block.norm1.eps,
        image_mean=tuple(pretrained.get("mean") or (0.485, 0.456, 0.406)),
        image_std=tuple(pretrained.get("std") or (0.229, 0.224, 0.225)),
        timm_model=name,
        timm_arguments=arguments or {},
    )


def complete_section(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's encoder section, which names a `timm_model`, with what that network has wherever it says nothing else.

    Raises:
        UserError: timm cannot build it, or the section sets what the network has otherwise, or what only plain ViTs have.
    """
    name, arguments = section["timm_model"], section.get("timm_arguments") or {}
    with torch.device("meta"):  # its sizes are wanted, not its weights
        found = describe_network(create_network(name, **arguments), name, arguments).to_dict()
    given = dict(section)
    if (architecture := given.pop("architecture", "custom")) in ARCHITECTURES:
        given = dict(zip(SIZES, ARCHITECTURES[architecture])) | given
    wrong = []
    for key, value in given.items():
        if key in FOUND and value != found[key]:
            wrong.append(f"encoder.{key} is {found[key]!r} in timm's {name}, not {value!r}")
        elif key not in (*FOUND, *TAKEN) and key in found and value != found[key]:
            wrong.append(f"encoder.{key} {value!r} is that of a plain ViT, and is not used with timm's {name}")
    if wrong:
        raise UserError(
            f"{'; '.join(wrong)}. Leave out what timm's network has by itself (encoder.architecture too, or say 'custom'); "
            "encoder.timm_arguments change it, by timm's names."
        )
    return {**section, "architecture": "custom", **{key: found[key] for key in FOUND}}


def require_described(network: Any, config: EncoderConfig) -> None:
    """Raise UserError where a timm network is not of the sizes that its description says."""
    found = describe_network(network, str(config.timm_model))
    for key in ("patch_size", *SIZES):
        if getattr(found, key) != getattr(config, key):
            raise UserError(
                f"encoder.{key} must be {getattr(found, key)}, as in timm's {config.timm_model}, "
                f"but is {getattr(config, key)}"
            )
