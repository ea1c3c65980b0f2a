"""From a recipe to mmengine's training configuration: data, steps, learning rate, optimizer, checkpoints."""

from pathlib import Path
from typing import Any

import torch

from eval.detector import optimizer  # noqa: F401  (registers the constructor)
from eval.detector.optimizer import scaled_learning_rate
from eval.detector.pipeline import train_pipeline
from eval.detector.recipe import Recipe, TrainingSection
from flsl.runtime.distributed import share, world_size
from flsl.runtime.precision import choose_dtype


def dataset_config(recipe: Recipe, annotations: Path, images: Path) -> dict[str, Any]:
    """Return the training data set's configuration."""
    masks = recipe.model.detector == "mask-rcnn"
    return {
        "type": "CocoFile",
        "annotations": str(annotations),
        "images": str(images),
        "masks": masks,
        "keep_empty": recipe.training.keep_empty_images,
        "pipeline": train_pipeline(recipe.images, masks),
    }


def steps(training: TrainingSection, images: int) -> tuple[int, list[int]]:
    """Return the number of iterations, and those after which the learning rate falls, for so many training images.

    `training.iterations` shortens the run and moves the milestones along.
    """
    total = training.iterations or max(1, round(training.epochs * images / training.batch))
    return total, [max(1, round(total * epoch / training.epochs)) for epoch in training.milestones]


def training_config(recipe: Recipe, images: int, device: torch.device) -> dict[str, Any]:
    """Return what mmengine's Runner takes besides model and data.

    Args:
        recipe: its `training` and `runtime` sections are used.
        images: number of training images.
        device: decides about precision and the backend of data parallelism.

    Raises:
        UserError: the precision is not available on the device, or the batch cannot be shared.
    """
    training, runtime = recipe.training, recipe.runtime
    share(training.batch)
    total, milestones = steps(training, images)
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
        "default_scope": "mmdet",
        "launcher": "pytorch" if world_size() > 1 else "none",
        "env_cfg": {"dist_cfg": {"backend": "nccl" if device.type == "cuda" else "gloo"}},
        "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": total, "val_interval": total + 1},
        "optim_wrapper": wrapper
        | {
            "constructor": "EncoderOptimizer",
            "optimizer": {
                "type": "AdamW",
                "lr": scaled_learning_rate(training),
                "betas": (0.9, 0.999),
                "fused": True,
                "weight_decay": training.weight_decay,
            },
            "paramwise_cfg": {"layer_decay": training.layer_decay},
        },
        "param_scheduler": [
            *([warmup] if training.warmup_iterations else []),
            {"type": "MultiStepLR", "by_epoch": False, "milestones": milestones, "gamma": 0.1},
        ],
        "default_hooks": {
            "logger": {"type": "LoggerHook", "interval": 50},
            "checkpoint": {
                "type": "CheckpointHook",
                "by_epoch": False,
                "interval": runtime.checkpoint_every,
                # Two: the older one is whole while the newer one is being written.
                "max_keep_ckpts": 2,
                "save_last": True,
            },
        },
        "custom_hooks": hooks,
        "log_processor": {"by_epoch": False},
        "visualizer": {"type": "DetLocalVisualizer", "vis_backends": backends},
        "resume": True,
    }
