"""The encoder: a ViT that gives patch features, and only patch features, of images of any size."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Mlp, SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.utils.checkpoint import checkpoint

from flsl.architecture import EncoderConfig
from flsl.attention import EncoderAttention, Sizes, split_rows
from flsl.block import EncoderBlock
from flsl.patches import embed_patches
from flsl.position import resize_positions, shifted_sincos, sincos_table
from flsl.runtime.errors import UserError
from flsl.timm_network import create_network, require_described, run_network


class Encoder(nn.Module):
    """The parts of a timm ViT, run with the sine-cosine table, three position interpolations, and dense outputs
    (docs/method.md, "Encoder"); or, where the description says `timm_model`, that network of timm's as a whole.

    Parameter names are those of public checkpoints (`blocks.0.attn.qkv.weight`, `pos_embed`, ...), with `network.` in
    front where the network stays timm's. Class and register tokens, where the architecture has them, take part in
    attention and leave the encoder only where `prefix` asks for them.
    """

    def __init__(self, config: EncoderConfig, drop_path: float = 0.0):
        """Build with random weights: truncated normal (std 0.02), zero biases; a whole network's are timm's own draw.

        `torch.manual_seed` before fixes the draw. `drop_path` is the stochastic depth of the last block; it grows
        linearly from 0 in the first.
        """
        super().__init__()
        self.config = config
        self.patch_size, self.embed_dim = config.patch_size, config.embed_dim
        self.depth, self.num_heads = config.depth, config.num_heads
        self.grad_checkpointing, self.drop_path = False, drop_path
        self.joins_sizes = False  # `flsl.multi_crop`
        self.compiled_block: Callable[..., torch.Tensor] = _call_block
        self.num_prefix_tokens = int(config.class_token) + config.register_tokens
        if config.timm_model is not None:
            heads = {"num_heads": config.num_heads} if "num_heads" in config.timm_arguments else {}
            arguments = {"drop_path_rate": drop_path} | config.timm_arguments | heads
            self.network = create_network(config.timm_model, **arguments)
            require_described(self.network, config)
            return
        vit = _plain_vit(config, drop_path)
        self.cls_token, self.reg_token = vit.cls_token, vit.reg_token
        # In most checkpoints only the class token has a row in the table; registers have none.
        self.position_prefix = int(config.class_token) if config.position_prefix is None else config.position_prefix
        rows = self.position_prefix + config.grid**2
        self.pos_embed = nn.Parameter(torch.empty(1, rows, config.embed_dim))
        if config.position_embedding == "sincos" and not self.pos_embed.is_meta:
            self.pos_embed.data.copy_(sincos_table(config.embed_dim, config.grid, self.position_prefix))
        else:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.pos_embed.requires_grad_(config.position_embedding == "learned")
        self.patch_embed, self.blocks, self.norm = vit.patch_embed, vit.blocks, vit.norm

    @property
    def parts(self) -> Any:
        """What owns `patch_embed`, `blocks`, `norm` and the tables and tokens: this module, or the network of timm's."""
        return self if self.config.timm_model is None else self.network

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Switch on that activations are recomputed in the backward pass: less memory, about a third slower."""
        self.grad_checkpointing = enable
        if self.config.timm_model is not None:
            self.parts.set_grad_checkpointing(enable)

    def embed(
        self,
        images: torch.Tensor,
        shift: torch.Tensor | None = None,
        masked: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return the tokens `(B, prefix + N, D)` that enter the first block: patches plus positions.

        `shift` `(B, 2)` moves each image's positions along x and y, in tokens of the sine-cosine table. `masked` is a
        boolean mask `(B, N)` and the token `(1, D)` that stands in for the patches where it is true.

        Raises:
            UserError: height or width of `images` `(B, 3, H, W)` is no multiple of the patch size, or the network is
                timm's, whose blocks need positions and cannot be run from outside.
        """
        if self.config.timm_model is not None:
            raise UserError(
                f"{self.config.name} cannot attend in windows: its blocks need positions. Leave `window` out."
            )
        check_sides(images, self.patch_size)
        patches = embed_patches(self.patch_embed, images)  # (B, h, w, D)
        grid = (patches.shape[1], patches.shape[2])
        if masked is not None:
            patches = torch.where(masked[0].view(-1, *grid, 1), masked[1].to(patches), patches)
        positions = resize_positions(self.pos_embed, grid, self.position_prefix, self.config.position_interpolation)
        codes = positions[:, self.position_prefix :]
        if shift is not None:
            codes = shifted_sincos(self.embed_dim, self.config.grid, grid, shift).to(positions)
        # A convolution leaves channels far apart in memory, and a sum has the layout of its parts: every block would go on with
        # it, norms by way of a copy.
        tokens = (codes + patches.flatten(1, 2)).contiguous()
        own: list[torch.Tensor] = [token for token in (self.cls_token, self.reg_token) if token is not None]
        if not own:
            return tokens
        prefix = torch.cat(own, dim=1)
        rows = self.position_prefix
        prefix = torch.cat([prefix[:, :rows] + positions[:, :rows], prefix[:, rows:]], dim=1)
        return torch.cat([prefix.expand(len(images), -1, -1), tokens], dim=1)

    def compile_for_training(self) -> None:
        """Compile the blocks, which are alike, once for all of them and each size of images, for what `forward` runs; `patch_tokens`
        and `feature_maps`, which meet images of any size, run what is not compiled."""
        if self.config.timm_model is not None:
            self.compile(dynamic=False)
        else:
            self.compiled_block = torch.compile(_call_block, dynamic=False)

    def run_block(
        self,
        block: nn.Module,
        tokens: torch.Tensor,
        kept: torch.Tensor | None = None,
        compiled: bool = False,
        sizes: Sizes | None = None,
    ) -> torch.Tensor:
        """Run one of `blocks` on tokens `(B, prefix + N, D)`, with activations recomputed if that is switched on.

        `kept` `(2, B)` multiplies its two branches, image by image: stochastic depth that was drawn elsewhere. `compiled` takes
        the compiled form, where there is one. `sizes` is that of `EncoderBlock`.
        """
        call = self.compiled_block if compiled else _call_block
        inputs = (block, tokens) if kept is None and sizes is None else (block, tokens, kept, sizes)
        if self.grad_checkpointing and self.training:
            # Only what the block draws itself has to be drawn again alike when it is computed again.
            draws = self.drop_path > 0 and kept is None
            return checkpoint(call, *inputs, use_reentrant=False, preserve_rng_state=draws)
        return call(*inputs)

    def patch_tokens(
        self,
        images: torch.Tensor,
        blocks: Sequence[int] | None = None,
        norm: bool = True,
        kept: torch.Tensor | None = None,
        shift: torch.Tensor | None = None,
        prefix: bool = False,
        masked: tuple[torch.Tensor, torch.Tensor] | None = None,
        compiled: bool = False,
    ) -> list[torch.Tensor]:
        """Return patch features in raster order.

        Args:
            images: `(B, 3, H, W)`, sides multiples of the patch size.
            blocks: 0-based blocks to tap, ascending; None is the last one.
            norm: apply the final LayerNorm to each tap.
            kept: `(depth, 2, B)` factors of the blocks' branches, 0 where stochastic depth leaves one out; None lets the
                blocks draw, where they train. A network of timm's draws in any case.
            shift: that of `embed`; a network of timm's has none.
            prefix: keep class and register tokens, in front; a network of timm's never does.
            masked: that of `embed`; a network of timm's has none.
            compiled: that of `run_block`.

        Returns:
            One `(B, N, D)` tensor per block, or `(B, prefix + N, D)`.

        Raises:
            UserError: a block that does not exist, or sides that are no multiple of the patch size.
        """
        blocks = check_blocks(blocks, self.depth)
        if self.config.timm_model is not None:
            check_sides(images, self.patch_size)
            return run_network(self.parts, images, blocks, norm, self.config.name)
        taps, tokens = [], self.embed(images, shift, masked)
        for index, block in enumerate(self.blocks[: blocks[-1] + 1]):
            tokens = self.run_block(block, tokens, None if kept is None else kept[index], compiled)
            if index in blocks:
                tap = self.norm(tokens) if norm else tokens
                taps.append(tap if prefix else tap[:, self.num_prefix_tokens :])
        return taps

    def patch_keys(self, images: torch.Tensor) -> torch.Tensor:
        """Return the keys `(B, N, D)` of the patches in the last block's attention, all heads side by side, in raster order.

        `images` are those of `patch_tokens`, and so are the errors; raises UserError, too, for a network of timm's whose
        attention has no layer for them.
        """
        attention: Any = getattr(self.parts.blocks[-1], "attn", None)
        fused, own = getattr(attention, "qkv", None), getattr(attention, "k_proj", None)
        if isinstance(fused, nn.Linear):
            # BEiT and EVA add biases to queries and values from outside; their keys have none.
            weight, bias = fused.weight.chunk(3)[1], None if fused.bias is None else fused.bias.chunk(3)[1]
        elif isinstance(own, nn.Linear):
            weight, bias = own.weight, own.bias
        else:
            raise UserError(
                f"the attention keys of {self.config.name} cannot be read: its last block has neither `attn.qkv` nor "
                "`attn.k_proj`. What works on tokens (label propagation, segmentation, k-NN) can be evaluated."
            )
        entering: list[torch.Tensor] = []
        hook = attention.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
        try:
            tokens = self.patch_tokens(images)[0]
        finally:
            hook.remove()
        return F.linear(entering[0], weight, bias)[:, -tokens.shape[1] :]

    def forward(
        self,
        images: torch.Tensor,
        kept: torch.Tensor | None = None,
        shift: torch.Tensor | None = None,
        prefix: bool = False,
        masked: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Encode images `(B, 3, H, W)` into patch tokens `(B, N, D)` after the final norm, in raster order.

        `kept`, `shift`, `prefix` and `masked` are those of `patch_tokens`.
        """
        return self.patch_tokens(images, kept=kept, shift=shift, prefix=prefix, masked=masked, compiled=True)[0]

    def forward_joined(
        self,
        images: Sequence[torch.Tensor],
        kept: Sequence[torch.Tensor | None],
        shifts: Sequence[torch.Tensor | None],
        prefix: bool = False,
    ) -> list[torch.Tensor]:
        """Compute what `forward` gives for images of each of several sizes, by blocks that see the tokens of all of them at once;
        arguments and results are those of `forward`, one a size, and `kept` is given for all or for none."""
        embedded = [self.embed(part, shift) for part, shift in zip(images, shifts)]
        sizes = tuple((len(part), part.shape[1]) for part in embedded)
        rows = torch.cat([part.flatten(0, 1) for part in embedded])  # (R, D)
        factors = [
            part[..., None].expand(-1, -1, -1, n).flatten(2) for part, (_, n) in zip(kept, sizes) if part is not None
        ]
        each: Any = torch.cat(factors, dim=2) if factors else [None] * self.depth  # (depth, 2, R)
        for block, of_rows in zip(self.blocks, each):
            rows = self.run_block(block, rows, of_rows, compiled=True, sizes=sizes)
        parts = [part.unflatten(0, size) for part, size in zip(split_rows(self.norm(rows), sizes), sizes)]
        return parts if prefix else [part[:, self.num_prefix_tokens :] for part in parts]

    def feature_maps(
        self, images: torch.Tensor, blocks: Sequence[int] | None = None, norm: bool = True
    ) -> list[torch.Tensor]:
        """Return one map `(B, D, H / patch, W / patch)` per block; arguments and errors are those of `patch_tokens`."""
        taps = self.patch_tokens(images, blocks, norm)
        rows, columns = images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size
        return [tokens.transpose(1, 2).reshape(len(images), -1, rows, columns) for tokens in taps]


def _call_block(block: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    return block(*inputs)


def kept_branches(draws: torch.Tensor, drop: torch.Tensor) -> torch.Tensor:
    """Turn draws in 0..1 `(B, depth, 2)` into the factors `(depth, 2, B)` of the blocks' branches; `drop` `(depth, 1, 1)` is
    the share of branches that stochastic depth leaves out of a block."""
    # In this order in memory too: a compiled block copies what does not begin at a multiple of 16 bytes.
    return (draws.permute(1, 2, 0).contiguous() >= drop).to(drop) / (1 - drop)


def check_sides(images: torch.Tensor, patch_size: int) -> None:
    """Raise a UserError with the numbers if a side of `images` `(B, 3, H, W)` is no multiple of the patch size."""
    height, width = images.shape[-2:]
    if height % patch_size or width % patch_size:
        raise UserError(
            f"an image of {height}x{width} pixels cannot be cut into patches of {patch_size}: "
            "resize, crop or pad it to a multiple first"
        )


def check_blocks(blocks: Sequence[int] | None, depth: int) -> list[int]:
    """Return the 0-based blocks to tap (None: the last one); raise a UserError unless they exist and ascend."""
    blocks = [depth - 1] if blocks is None else list(blocks)
    if not blocks or sorted(set(blocks)) != blocks or blocks[0] < 0 or blocks[-1] >= depth:
        raise UserError(f"blocks {blocks} must be ascending and within 0..{depth - 1}")
    return blocks


def _plain_vit(config: EncoderConfig, drop_path: float) -> VisionTransformer:
    """Build the timm ViT whose parts become the encoder's."""
    return VisionTransformer(
        img_size=config.image_size,
        patch_size=config.patch_size,
        num_classes=0,
        global_pool="",
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        qkv_bias=config.qkv_bias,
        init_values=1.0 if config.layer_scale else None,
        class_token=config.class_token,
        reg_tokens=config.register_tokens,
        final_norm=config.final_norm,
        dynamic_img_size=True,
        drop_path_rate=drop_path,
        norm_layer=partial(nn.LayerNorm, eps=config.norm_eps),
        mlp_layer=SwiGLUPacked if config.mlp == "swiglu" else Mlp,  # type: ignore[arg-type]  # the first is a partial
        attn_layer=EncoderAttention,
        block_fn=EncoderBlock,
        act_layer=nn.SiLU if config.mlp == "swiglu" else nn.GELU,
    )
