"""From a recipe to mmengine's configuration: the encoder as a backbone, optimizer, learning schedule, states."""

from typing import Any

import torch

from eval.finetune.recipe import EncoderSection, FinetuneRecipe
from flsl.architecture import EncoderConfig
from flsl.runtime.distributed import share, world_size
from flsl.runtime.errors import UserError
from flsl.runtime.precision import choose_dtype

FETCH_EVERY = {"cuda": 10}  # iterations between the fetches of losses
TAPS = 4  # blocks of the encoder whose outputs the heads see


def check_encoder(model: EncoderSection, encoder: EncoderConfig) -> None:
    """Raise UserError if the recipe is for another encoder, or says what this one cannot do."""
    if model.encoder not in (None, encoder.name):
        raise UserError(
            f"this recipe is for {model.encoder}, but the checkpoint is a {encoder.name}. Choose with --config the recipe "
            "of that size, or --set model.encoder=None --set model.blocks=None to use this recipe's training for any encoder."
        )
    if encoder.depth < TAPS:
        raise UserError(f"the heads see the outputs of 4 blocks of an encoder, but {encoder.name} has {encoder.depth}")
    for name in ("blocks", "global_blocks"):
        if any(block >= encoder.depth for block in getattr(model, name) or ()):
            raise UserError(
                f"model.{name} must lie within 0..{encoder.depth - 1}, the blocks of {encoder.name}, "
                f"but is {list(getattr(model, name))}"
            )
    if model.frozen_blocks > encoder.depth:
        raise UserError(
            f"model.frozen_blocks must be at most {encoder.depth}, the blocks of {encoder.name}, "
            f"but is {model.frozen_blocks}"
        )
    if encoder.embed_dim % (model.num_heads or 1):
        raise UserError(
            f"model.num_heads must divide {encoder.embed_dim}, the width of {encoder.name}, but is {model.num_heads}"
        )


def backbone_config(
    model: EncoderSection,
    encoder: EncoderConfig,
    *,
    checkpoint: str | None = None,
    seed: int = 0,
    checkpoint_activations: bool = False,
    sync_batch_norm: bool = False,
) -> dict[str, Any]:
    """Return the `backbone` dictionary of every model.

    Args:
        model: the recipe's section.
        encoder: its architecture.
        checkpoint: what `load_encoder` takes, put into `init_cfg`; None leaves random weights there, for a model whose
            own weights are loaded afterwards.
        seed: of a `random:` checkpoint.
        checkpoint_activations: recompute activations in the backward pass.
        sync_batch_norm: share BatchNorm statistics between processes.

    Raises:
        UserError: see `check_encoder`.
    """
    check_encoder(model, encoder)
    return {
        "type": "EncoderBackbone",
        "encoder": encoder.to_dict(),
        "blocks": model.blocks,
        "num_heads": model.num_heads,
        "drop_path": model.drop_path,
        "frozen_blocks": model.frozen_blocks,
        "checkpoint_activations": checkpoint_activations,
        "window": model.window,
        "global_blocks": model.global_blocks,
        "norm_cfg": {"type": "SyncBN" if sync_batch_norm else "BN", "requires_grad": True},
        "init_cfg": checkpoint and {"type": "Pretrained", "checkpoint": checkpoint, "seed": seed},
    }


def pixel_statistics(encoder: EncoderConfig) -> dict[str, Any]:
    """Return what normalizes BGR pixels of 0..255 as in the encoder's pretraining."""
    return {
        "mean": [round(255 * value, 4) for value in encoder.image_mean],
        "std": [round(255 * value, 4) for value in encoder.image_std],
        "bgr_to_rgb": True,
    }


def training_config(recipe: FinetuneRecipe, library: str, images: int, device: torch.device) -> dict[str, Any]:
    """Return what mmengine's Runner takes besides model and data.

    Args:
        recipe: its `training` and `runtime` sections are used.
        library: `mmdet` or `mmseg`.
        images: number of training images.
        device: decides about precision and the backend of data parallelism.

    Raises:
        UserError: the precision is not available on the device, or the batch cannot be shared.
    """
    training, runtime = recipe.training, recipe.runtime
    share(training.batch)
    total = training.steps(images)
    dtype = choose_dtype(training.precision, device)
    wrapper: dict[str, Any] = {"type": "OptimWrapper"}
    if dtype == torch.bfloat16:
        wrapper = {"type": "BFloat16OptimWrapper"}
    elif dtype == torch.float16:
        wrapper = {"type": "AmpOptimWrapper", "dtype": "float16", "loss_scale": "dynamic"}
    if training.clip_norm is not None:
        wrapper["clip_grad"] = {"max_norm": training.clip_norm}
    backends = [{"type": "LocalVisBackend"}] + [{"type": "TensorboardVisBackend"}] * runtime.tensorboard
    hooks = []
    if training.ema is not None:
        hooks.append(
            {"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": training.ema, "update_buffers": True}
        )
    warmup = {
        "type": "LinearLR",
        "start_factor": training.warmup_factor,
        "by_epoch": False,
        "begin": 0,
        "end": training.warmup_iterations,
    }
    return {
        "default_scope": library,
        "launcher": "pytorch" if world_size() > 1 else "none",
        "env_cfg": {"dist_cfg": {"backend": "nccl" if device.type == "cuda" else "gloo"}},
        "train_cfg": {
            "type": "FetchingLoop",
            "max_iters": total,
            "val_interval": total + 1,
            "fetch_every": FETCH_EVERY.get(device.type, 1),
        },
        "optim_wrapper": wrapper
        | {
            "constructor": "EncoderOptimizer",
            "optimizer": {
                "type": "AdamW",
                "lr": training.scaled_learning_rate,
                "betas": (0.9, 0.999),
                "fused": True,
                "weight_decay": training.weight_decay,
            },
            "paramwise_cfg": {"layer_decay": training.layer_decay},
        },
        "param_scheduler": [*([warmup] if training.warmup_iterations else []), training.schedule(total)[0]],
        "default_hooks": {
            "logger": {"type": "LoggerHook", "interval": 50},
            "checkpoint": {"type": "StateHook", "interval": runtime.checkpoint_every},
        },
        "custom_hooks": hooks,
        "log_processor": {"by_epoch": False},
        "visualizer": {"type": "Visualizer", "vis_backends": backends},
    }
