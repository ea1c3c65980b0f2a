"""From a recipe to mmdet's configuration: data and their transforms, model, learning schedule, optimizer, states."""

from pathlib import Path
from typing import Any

import torch

from eval.detector.optimizer import scaled_learning_rate
from eval.detector.recipe import (
    NORM_GROUPS,
    ImagesSection,
    ModelSection,
    Recipe,
    TestingSection,
    TrainingSection,
)
from flsl.architecture import EncoderConfig
from flsl.runtime.distributed import share, world_size
from flsl.runtime.errors import UserError
from flsl.runtime.precision import choose_dtype

FPN_STRIDES = [4, 8, 16, 32, 64]


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


def train_pipeline(images: ImagesSection, masks: bool) -> list[dict[str, Any]]:
    """Return the training transforms: read, resize and crop at random, flip, pack (docs/protocols.md, "COCO 2017")."""
    load = {"type": "LoadAnnotations", "with_bbox": True, "with_mask": masks}
    flip = {"type": "RandomFlip", "prob": images.flip}
    clean = {"type": "FilterAnnotations", "min_gt_bbox_wh": (1, 1), "by_mask": masks, "keep_empty": False}
    return [{"type": "ReadImage"}, load, *_sizes(images, masks), flip, clean, {"type": "PackDetInputs"}]


def _sizes(images: ImagesSection, masks: bool) -> list[dict[str, Any]]:
    def resize(scales: list[tuple[int, int]]) -> dict[str, Any]:
        return {"type": "RandomChoiceResize", "scales": scales, "keep_ratio": True}

    if images.scale_jitter:
        side = (images.jitter_size, images.jitter_size)
        return [
            {"type": "RandomResize", "scale": side, "ratio_range": images.scale_jitter, "keep_ratio": True},
            {
                "type": "RandomCrop",
                "crop_type": "absolute",
                "crop_size": side,
                "recompute_bbox": masks,
                "allow_negative_crop": True,
            },
        ]
    final = resize([(images.longest_side, side) for side in images.train_short_sides])
    if not images.crop:
        return [final]
    crop = {
        "type": "RandomCrop",
        "crop_type": "absolute_range",
        "crop_size": (384, 600),
        "allow_negative_crop": True,
    }
    zoomed = [resize([(images.longest_side, side) for side in (400, 500, 600)]), crop, final]
    return [{"type": "RandomChoice", "transforms": [[final], zoomed]}]


def test_pipeline(images: ImagesSection) -> list[dict[str, Any]]:
    """Return the test transforms: read, resize to one size, pack."""
    keep = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    return [
        {"type": "ReadImage"},
        {"type": "Resize", "scale": (images.longest_side, images.test_short_side), "keep_ratio": True},
        {"type": "PackDetInputs", "meta_keys": keep},
    ]


def check_encoder(model: ModelSection, encoder: EncoderConfig) -> None:
    """Raise UserError if the recipe is for another encoder, or says what this one cannot do."""
    if model.encoder not in (None, encoder.name):
        raise UserError(
            f"this recipe is for {model.encoder}, but the checkpoint is a {encoder.name}. Choose with --config the recipe "
            "of that size, or --set model.encoder=None --set model.blocks=None to use this recipe's training for any encoder."
        )
    if encoder.depth < len(FPN_STRIDES) - 1:
        raise UserError(f"the detectors tap 4 blocks of an encoder, but {encoder.name} has {encoder.depth}")
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


def detector_config(
    model: ModelSection,
    testing: TestingSection,
    encoder: EncoderConfig,
    classes: int,
    *,
    checkpoint: str | None = None,
    seed: int = 0,
    checkpoint_activations: bool = False,
    sync_batch_norm: bool = False,
) -> dict[str, Any]:
    """Return the `model` dictionary that mmdet builds (docs/protocols.md, "COCO 2017").

    Args:
        model: the recipe's section.
        testing: likewise; thresholds of a detection.
        encoder: its architecture.
        classes: number of categories.
        checkpoint: what `load_encoder` takes, put into the backbone's `init_cfg`; None leaves random weights there,
            for a detector whose own weights are loaded afterwards.
        seed: of a `random:` checkpoint.
        checkpoint_activations: recompute activations in the backward pass.
        sync_batch_norm: share BatchNorm statistics between processes.

    Raises:
        UserError: see `check_encoder`.
    """
    check_encoder(model, encoder)
    with_masks = model.detector == "mask-rcnn"
    channels = model.fpn_channels
    norm = model.head_norm and {"type": "GN", "num_groups": NORM_GROUPS, "requires_grad": True}
    config: dict[str, Any] = {
        "type": "MaskRCNN" if with_masks else "FasterRCNN",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": [round(255 * value, 4) for value in encoder.image_mean],  # of the encoder's pretraining, 0..255
            "std": [round(255 * value, 4) for value in encoder.image_std],
            "bgr_to_rgb": True,
            "pad_mask": with_masks,
            "pad_size_divisor": 32,
        },
        "backbone": {
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
        },
        "neck": {
            "type": "Float32FPN",
            "in_channels": [encoder.embed_dim] * 4,
            "out_channels": channels,
            "num_outs": len(FPN_STRIDES),
            "norm_cfg": norm,
        },
        "rpn_head": {
            "type": "Float32RPNHead",
            "in_channels": channels,
            "feat_channels": channels,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "scales": [model.anchor_scale],
                "ratios": [0.5, 1.0, 2.0],
                "strides": FPN_STRIDES,
            },
            "bbox_coder": _box_coder(1.0, 1.0),
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True},
            "loss_bbox": {"type": "L1Loss"},
        },
        "roi_head": {
            "type": "StandardRoIHead",
            "bbox_roi_extractor": _roi_extractor(7, channels),
            "bbox_head": {
                "type": "Float32BoxHead",
                "num_shared_convs": model.box_convs,
                "num_shared_fcs": model.fc_layers,
                "conv_out_channels": channels,
                "norm_cfg": norm,
                "in_channels": channels,
                "fc_out_channels": model.fc_channels,
                "roi_feat_size": 7,
                "num_classes": classes,
                "bbox_coder": _box_coder(0.1, 0.2),
                "reg_class_agnostic": model.class_agnostic,
                "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False},
                "loss_bbox": {"type": "L1Loss"},
            },
        },
        "train_cfg": _train_config(model),
        "test_cfg": {
            "rpn": _proposals(model.test_proposals),
            "rcnn": {
                "score_thr": testing.score_threshold,
                "nms": {"type": "nms", "iou_threshold": testing.nms_overlap},
                "max_per_img": testing.max_detections,
                "mask_thr_binary": 0.5,
            },
        },
    }
    if with_masks:
        config["roi_head"] |= {
            "mask_roi_extractor": _roi_extractor(14, channels),
            "mask_head": {
                "type": "Float32MaskHead",
                "num_convs": model.mask_convs,
                "in_channels": channels,
                "conv_out_channels": model.mask_channels,
                "norm_cfg": norm,
                "class_agnostic": model.class_agnostic,
                "num_classes": classes,
                "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True},
            },
        }
    return config


def _box_coder(center_std: float, size_std: float) -> dict[str, Any]:
    return {
        "type": "DeltaXYWHBBoxCoder",
        "target_means": [0.0] * 4,
        "target_stds": [center_std, center_std, size_std, size_std],
    }


def _roi_extractor(size: int, channels: int) -> dict[str, Any]:
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": size, "sampling_ratio": 0},
        "out_channels": channels,
        "featmap_strides": FPN_STRIDES[:4],
    }


def _proposals(counts: tuple[int, int]) -> dict[str, Any]:
    before, after = counts
    nms = {"type": "nms", "iou_threshold": 0.7}
    return {"nms_pre": before, "max_per_img": after, "nms": nms, "min_bbox_size": 0}


def _train_config(model: ModelSection) -> dict[str, Any]:
    """Return the matching and sampling of proposals, which are the same in both detectors."""
    # mmdet's -1 means that ignored regions play no part, not that they are ignored.
    ignore = -1 if model.ignore_overlap is None else model.ignore_overlap

    def stage(
        positive: float, negative: float, minimum: float, samples: int, share: float, rcnn: bool
    ) -> dict[str, Any]:
        return {
            "assigner": {
                "type": "MaxIoUAssigner",
                "pos_iou_thr": positive,
                "neg_iou_thr": negative,
                "min_pos_iou": minimum,
                "match_low_quality": True,
                "ignore_iof_thr": ignore,
            },
            "sampler": {
                "type": "RandomSampler",
                "num": samples,
                "pos_fraction": share,
                "neg_pos_ub": -1,
                "add_gt_as_proposals": rcnn,
            },
            "pos_weight": -1,
            "debug": False,
        }

    return {
        "rpn": stage(0.7, 0.3, 0.3, model.rpn_samples, 0.5, rcnn=False) | {"allowed_border": -1},
        "rpn_proposal": _proposals(model.train_proposals),
        "rcnn": stage(0.5, 0.5, 0.5, model.roi_samples, model.roi_positives, rcnn=True) | {"mask_size": 28},
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
            "checkpoint": {"type": "StateHook", "interval": runtime.checkpoint_every},
        },
        "custom_hooks": hooks,
        "log_processor": {"by_epoch": False},
        "visualizer": {"type": "DetLocalVisualizer", "vis_backends": backends},
    }
