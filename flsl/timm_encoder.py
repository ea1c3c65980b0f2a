"""Encoders that timm has and that are no plain ViT: rotary positions (DINOv3, EVA-02), relative ones (BEiT), CLIP, ..."""

from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from flsl.architecture import EncoderConfig
from flsl.encoder import check_blocks, check_sides
from flsl.runtime.errors import UserError


class TimmEncoder(nn.Module):
    """A timm network with the interface of `flsl.encoder.Encoder`; its own attributes (`blocks`, `norm`, ...) show
    through. Class and register tokens never leave it."""

    def __init__(self, config: EncoderConfig, drop_path: float = 0.0):
        """Build `config.timm_model`, changed by `config.timm_arguments`, with timm's random weights."""
        super().__init__()
        self.network = create_network(
            config.timm_model, drop_path_rate=drop_path, **(config.timm_arguments | _heads(config))
        )
        self.config = config
        self.patch_size, self.embed_dim = config.patch_size, config.embed_dim
        self.depth, self.num_heads = config.depth, config.num_heads

    def __getattr__(self, name: str) -> Any:
        """Look up what is not our own in the network."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    @property
    def grad_checkpointing(self) -> bool:
        """Whether activations are recomputed in the backward pass."""
        return self.network.grad_checkpointing

    @grad_checkpointing.setter
    def grad_checkpointing(self, enable: bool) -> None:
        self.network.set_grad_checkpointing(enable)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Refuse: these networks feed positions into every block, so their blocks cannot be run from outside."""
        raise UserError(f"{self.config.name} cannot attend in windows: its blocks need positions. Leave `window` out.")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images `(B, 3, H, W)` into patch tokens `(B, N, D)` after the final norm, in raster order."""
        return self.feature_maps(images)[0].flatten(2).transpose(1, 2)

    def feature_maps(
        self, images: torch.Tensor, blocks: Sequence[int] | None = None, norm: bool = True
    ) -> list[torch.Tensor]:
        """Return one `(B, D, H / patch, W / patch)` map a block; see `Encoder.feature_maps`."""
        check_sides(images, self.patch_size)
        own = tuple(self.network.patch_embed.img_size)
        if getattr(self.network.patch_embed, "strict_img_size", False) and tuple(images.shape[-2:]) != own:
            raise UserError(f"{self.config.name} takes images of {own[0]}x{own[1]} pixels only (timm cannot resize it)")
        return self.network.forward_intermediates(
            images,
            indices=check_blocks(blocks, self.depth),
            norm=norm,
            stop_early=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )


def create_network(name: str, **arguments: Any) -> nn.Module:
    """Build a timm network without classifier and with random weights, for images of any size where it can.

    Raises:
        UserError: timm does not know the name (near ones are given), or it is no ViT.
    """
    if not timm.is_model(name.split(".")[0]):
        near = timm.list_models(f"*{name.split('.')[0].split('_patch')[0]}*")[:8]
        raise UserError(
            f"timm {timm.__version__} has no network {name!r}. "
            f"{'Near names: ' + ', '.join(near) if near else 'See timm.list_models()'}."
        )
    arguments = {"num_classes": 0} | arguments
    try:
        network = timm.create_model(name, pretrained=False, **({"dynamic_img_size": True} | arguments))
    except TypeError:  # a family without that option
        network = timm.create_model(name, pretrained=False, **arguments)
    except RuntimeError as error:
        raise UserError(f"timm {timm.__version__} cannot build {name!r}: {error}") from error
    if not all(
        hasattr(network, part) for part in ("blocks", "patch_embed", "num_prefix_tokens", "forward_intermediates")
    ):
        raise UserError(f"timm's {name} ({type(network).__name__}) is no vision transformer with one patch grid")
    return network


def is_plain(network: nn.Module) -> bool:
    """Tell whether `flsl.encoder.Encoder` computes the same: no norm before the blocks, exact GELU or SwiGLU, no extras."""
    if type(network) is not VisionTransformer or network.pos_embed is None:
        return False
    block, activation = network.blocks[0], network.blocks[0].mlp.act
    exact = isinstance(activation, (nn.GELU, nn.SiLU)) and getattr(activation, "approximate", "none") == "none"
    return exact and isinstance(network.norm_pre, nn.Identity) and isinstance(block.attn.q_norm, nn.Identity)


def describe_network(network: nn.Module, name: str, arguments: dict[str, Any] | None = None) -> EncoderConfig:
    """Return the description of a timm network, from which `TimmEncoder` rebuilds it."""
    block, patch = network.blocks[0], network.patch_embed.patch_size[0]
    registers = getattr(network, "reg_token", None)
    positions = "rope" if getattr(network, "rope", None) is not None else "learned"
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


def _heads(config: EncoderConfig) -> dict[str, int]:
    """Return the number of heads as an argument where the description sets it."""
    return {"num_heads": config.num_heads} if "num_heads" in config.timm_arguments else {}
