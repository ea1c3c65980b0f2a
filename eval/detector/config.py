"""From a recipe to mmdet's configuration: data and their transforms, and the model."""

from typing import Any

from eval.detector.recipe import NORM_GROUPS, DetectionTestingSection, ImagesSection, ModelSection
from eval.finetune.config import pixel_statistics
from flsl.architecture import EncoderConfig

FPN_STRIDES = [4, 8, 16, 32, 64]


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
    crop = {"type": "RandomCrop", "crop_type": "absolute_range", "crop_size": (384, 600), "allow_negative_crop": True}
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


def detector_config(
    model: ModelSection, testing: DetectionTestingSection, backbone: dict[str, Any], classes: int
) -> dict[str, Any]:
    """Return the `model` dictionary that mmdet builds (docs/protocols.md, "COCO 2017").

    Args:
        model: the recipe's section.
        testing: likewise; thresholds of a detection.
        backbone: of `eval.finetune.config.backbone_config`.
        classes: number of categories.
    """
    encoder = EncoderConfig(**backbone["encoder"])
    channels = model.fpn_channels
    norm = model.head_norm and {"type": "GN", "num_groups": NORM_GROUPS, "requires_grad": True}
    config: dict[str, Any] = {
        "type": "MaskRCNN" if model.with_masks else "FasterRCNN",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            **pixel_statistics(encoder),
            "pad_mask": model.with_masks,
            "pad_size_divisor": 32,
        },
        "backbone": backbone,
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
                "type": "Float32ConvFCBBoxHead",
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
    if model.with_masks:
        config["roi_head"] |= {
            "mask_roi_extractor": _roi_extractor(14, channels),
            "mask_head": {
                "type": "Float32FCNMaskHead",
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
