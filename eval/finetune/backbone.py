"""One backbone for every encoder: its blocks' features as a pyramid, its weights provably the checkpoint's."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from eval.finetune.pyramid import PatchMaps, Pyramid, default_blocks
from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_encoder, load_strictly
from flsl.encoder import Encoder
from flsl.runtime.errors import UserError
from flsl.runtime.schema import parse


@MODELS.register_module()
class EncoderBackbone(BaseModule):
    """`flsl.encoder.Encoder` without its final norm, and the feature pyramid of docs/protocols.md, "COCO 2017".

    The encoder is the attribute `encoder`: `flsl.checkpoint.fingerprint(backbone.encoder)` equals the checkpoint's.
    mmengine initializes models after it built them, which would draw an encoder's weights anew; here the weights are
    loaded by the constructor and `init_weights` leaves them alone (docs/method.md, "Pitfalls").
    """

    def __init__(
        self,
        encoder: dict[str, Any],
        blocks: Sequence[int] | None = None,
        num_heads: int | None = None,
        drop_path: float = 0.0,
        frozen_blocks: int = 0,
        checkpoint_activations: bool = False,
        window: int | None = None,
        global_blocks: Sequence[int] = (),
        norm_cfg: dict | None = None,
        pyramid: bool = True,
        init_cfg: dict[str, Any] | None = None,
    ):
        """Build the backbone and load the encoder's weights.

        Args:
            encoder: fields of `flsl.architecture.EncoderConfig`.
            blocks: four blocks to tap (0-based, ascending); None scales the published (3, 5, 7, 11) to the depth.
            num_heads: None takes the architecture's. Another number is an ablation: the same weights compute another
                attention (docs/method.md, "Pitfalls").
            drop_path: stochastic depth of the last block, growing linearly from 0 in the first.
            frozen_blocks: the patch embedding and this many first blocks stay as they are; 0 trains everything.
            checkpoint_activations: recompute activations in the backward pass: less memory, about a third slower.
            window: side in tokens of attention windows; None attends globally in every block.
            global_blocks: blocks that attend globally all the same.
            norm_cfg: normalization inside the pyramid (mmcv's dict); BatchNorm if not given.
            pyramid: whether the taps become maps of strides 4 to 32; otherwise they stay four of the patch's stride.
            init_cfg: `dict(type="Pretrained", checkpoint=SPEC, seed=0)`, where SPEC is what `load_encoder` takes; None
                keeps random weights, for a model whose own weights are loaded afterwards.

        Raises:
            UserError: the checkpoint holds another encoder, or blocks that the encoder does not have.
        """
        super().__init__(init_cfg=init_cfg)
        config = parse(EncoderConfig, encoder, "backbone.encoder")
        if num_heads not in (None, config.num_heads):
            other = {"architecture": "custom", "num_heads": num_heads}
            config = parse(EncoderConfig, config.to_dict() | other, "model")
        self.encoder = Encoder(config, drop_path)
        self.encoder.set_grad_checkpointing(checkpoint_activations)
        self.blocks = default_blocks(config.depth) if blocks is None else tuple(blocks)
        if len(self.blocks) != 4 or max(self.blocks) >= config.depth:
            raise UserError(f"model.blocks must be 4 blocks within 0..{config.depth - 1}, but is {list(self.blocks)}")
        self.window, self.global_blocks = window, tuple(global_blocks)
        self.frozen_blocks = frozen_blocks
        self.pyramid: Pyramid | PatchMaps = PatchMaps(config.patch_size)
        if pyramid:
            self.pyramid = Pyramid(config.embed_dim, config.patch_size, norm_cfg)
        self._freeze()
        if init_cfg is not None:
            self._load(**init_cfg)

    def _load(self, checkpoint: str, seed: int = 0, type: str = "Pretrained") -> None:
        """Load the checkpoint's weights, every one of them."""
        if type != "Pretrained":
            raise UserError(f"the encoder's init_cfg must have type 'Pretrained', not {type!r}")
        loaded = load_encoder(checkpoint, seed=seed).encoder
        load_strictly(self.encoder, loaded.state_dict(), checkpoint)

    def _freeze(self) -> None:
        """Take out of training what the taps do not reach, and what the recipe freezes."""
        # The final norm and blocks above the last tap get no gradient; data parallelism would wait for one.
        parts = self.encoder.parts
        unused = [parts.norm, *parts.blocks[max(self.blocks) + 1 :]]
        for module in unused + self._frozen_modules():
            module.requires_grad_(False)
        if self.frozen_blocks:
            for name in ("pos_embed", "cls_token", "reg_token"):
                if getattr(parts, name, None) is not None:
                    getattr(parts, name).requires_grad_(False)

    def _frozen_modules(self) -> list[torch.nn.Module]:
        if not self.frozen_blocks:
            return []
        return [self.encoder.parts.patch_embed, *self.encoder.parts.blocks[: self.frozen_blocks]]

    def init_weights(self) -> None:
        """Keep every weight: the encoder's come from the checkpoint, the pyramid's from the constructor."""
        self._is_init = True

    def train(self, mode: bool = True) -> "EncoderBackbone":
        """Set training mode; frozen blocks stay in eval mode, without stochastic depth."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return maps `(B, D, H / s, W / s)`, s = 4, 8, 16, 32 or four times the patch, of images `(B, 3, H, W)` of any
        size."""
        padded = self.pyramid.pad(images)
        if self.window is None:
            taps = self.encoder.feature_maps(padded, self.blocks, norm=False)
        else:
            taps = windowed_taps(self.encoder, padded, self.blocks, self.window, self.global_blocks)
        if not self.training:  # in training the loss tells
            for block, tap in zip(self.blocks, taps):
                if not tap.isfinite().all():
                    raise UserError(
                        f"the encoder computes NaN or infinite features by block {block}: its predictions "
                        "would mean nothing. Check the training (did it diverge?), or test in float32."
                    )
        return self.pyramid(taps, images.shape[-2:])


def windowed_taps(
    encoder: Encoder, images: Tensor, blocks: Sequence[int], window: int, global_blocks: Sequence[int]
) -> list[Tensor]:
    """Return `encoder.feature_maps(images, blocks, norm=False)`, with attention inside windows of tokens.

    For images too large for global attention in every block. Not part of the published recipe: a recipe that uses it says
    so in its protocol's name.

    Args:
        encoder: its class and register tokens, if any, join every window and are averaged afterwards.
        images: `(B, 3, H, W)`, sides multiples of the patch size.
        blocks: 0-based blocks to tap, ascending.
        window: side of a window in tokens. The grid is padded with zeros to whole windows.
        global_blocks: blocks that attend globally all the same.

    Returns:
        One `(B, D, H / patch, W / patch)` map a block.
    """
    rows, columns = images.shape[-2] // encoder.patch_size, images.shape[-1] // encoder.patch_size
    prefix = encoder.num_prefix_tokens
    tokens, maps = encoder.embed(images), []
    for index, block in enumerate(encoder.blocks[: max(blocks) + 1]):
        windows = tokens if index in global_blocks else _split(tokens, prefix, rows, columns, window)
        windows = encoder.run_block(block, windows)
        tokens = windows if index in global_blocks else _join(windows, prefix, rows, columns, window)
        if index in blocks:
            maps.append(tokens[:, prefix:].transpose(1, 2).reshape(len(images), -1, rows, columns))
    return maps


def _split(tokens: Tensor, prefix: int, rows: int, columns: int, window: int) -> Tensor:
    """Cut `(B, prefix + rows * columns, D)` into `(B * windows, prefix + window ** 2, D)`, image by image."""
    batch, _, width = tokens.shape
    grid = tokens[:, prefix:].reshape(batch, rows, columns, width)
    grid = F.pad(grid, (0, 0, 0, -columns % window, 0, -rows % window))
    down, across = grid.shape[1] // window, grid.shape[2] // window
    grid = grid.reshape(batch, down, window, across, window, width).transpose(2, 3)
    patches = grid.reshape(batch * down * across, window * window, width)
    return torch.cat([tokens[:, :prefix].repeat_interleave(down * across, dim=0), patches], dim=1)


def _join(windows: Tensor, prefix: int, rows: int, columns: int, window: int) -> Tensor:
    """Undo `_split`; each image's prefix tokens are the mean over its windows."""
    down, across = -(-rows // window), -(-columns // window)
    width = windows.shape[-1]
    grid = windows[:, prefix:].reshape(-1, down, across, window, window, width).transpose(2, 3)
    grid = grid.reshape(-1, down * window, across * window, width)[:, :rows, :columns]
    prefixes = windows[:, :prefix].reshape(len(grid), down * across, prefix, width).mean(dim=1)
    return torch.cat([prefixes, grid.flatten(1, 2)], dim=1)
