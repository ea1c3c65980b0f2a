"""From a recipe to the mmdet configuration of a Mask R-CNN or Faster R-CNN on an encoder."""

from typing import Any

from eval.detector.recipe import ModelSection, TestingSection
from flsl.architecture import EncoderConfig
from flsl.runtime.errors import UserError

FPN_STRIDES = [4, 8, 16, 32, 64]


def check_encoder(model: ModelSection, encoder: EncoderConfig) -> None:
    """Raise UserError if the recipe is for another encoder."""
    if model.encoder not in (None, encoder.name):
        raise UserError(
            f"this recipe is for {model.encoder}, but the checkpoint is a {encoder.name}. Choose with --config the recipe "
            "of that size, or --set model.encoder=None --set model.blocks=None to use this recipe's training for any encoder."
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
    """Return the `model` dictionary that mmdet builds (protocols.md, COCO recipe).

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
    norm = model.head_norm and {"type": "GN", "num_groups": 16, "requires_grad": True}
    config = {
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
