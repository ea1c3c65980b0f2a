"""From a recipe to mmsegmentation's configuration: transforms and the model."""

from typing import Any

from eval.finetune.config import pixel_statistics
from eval.finetune.pyramid import STRIDES
from eval.segment.fine_tuned.recipe import ImagesSection, ModelSection
from flsl.architecture import EncoderConfig
from flsl.confusion import VOID

TAPS = (1 / 4, 1 / 2, 3 / 4, 1)  # of the depth: blocks 2, 5, 8 and 11 of 12
POOLS = (1, 2, 3, 6)  # of UPerNet, cells a side


def train_pipeline(images: ImagesSection) -> list[dict[str, Any]]:
    """Return the training transforms of an image that was read: resize, crop, flip and distort at random, pack."""
    crop = (images.crop, images.crop)
    return [
        {"type": "RandomResize", "scale": _size(images), "ratio_range": images.scale, "keep_ratio": True},
        {"type": "RandomCrop", "crop_size": crop, "cat_max_ratio": images.largest_class, "ignore_index": VOID},
        {"type": "RandomFlip", "prob": images.flip},
        *([{"type": "PhotoMetricDistortion"}] if images.photometric else []),
        {"type": "PackSegInputs"},
    ]


def test_pipeline(images: ImagesSection) -> list[dict[str, Any]]:
    """Return the test transforms: resize to one size, pack."""
    keep = ("img_path", "ori_shape", "img_shape", "number")
    return [
        {"type": "Resize", "scale": _size(images), "keep_ratio": True},
        {"type": "PackSegInputs", "meta_keys": keep},
    ]


def _size(images: ImagesSection) -> tuple[int, int]:
    return images.longest_side, images.short_side


def segmentor_config(
    model: ModelSection, images: ImagesSection, backbone: dict[str, Any], classes: int
) -> dict[str, Any]:
    """Return the `model` dictionary that mmsegmentation builds (docs/protocols.md, "Fine-tuned").

    Args:
        model: the recipe's section.
        images: likewise; the size that training crops are padded to.
        backbone: of `eval.finetune.config.backbone_config`.
        classes: number of classes.
    """
    encoder, norm = EncoderConfig(**backbone["encoder"]), backbone["norm_cfg"]
    width = model.neck_channels or encoder.embed_dim
    widths = [encoder.embed_dim] * len(STRIDES)

    def head(kind: str, channels: int, weight: float, **more: Any) -> dict[str, Any]:
        loss = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": weight}
        common = {"norm_cfg": norm, "align_corners": False, "dropout_ratio": model.dropout, "num_classes": classes}
        return {"type": f"Float32{kind}", "channels": channels, "loss_decode": loss, **common, **more}

    config: dict[str, Any] = {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            **pixel_statistics(encoder),
            "size": (images.crop, images.crop),
            "pad_val": 0,
            "seg_pad_val": VOID,
        },
        "backbone": backbone,
        "train_cfg": {},
        "test_cfg": {"mode": "whole"},
    }
    several = {"in_channels": [width] * len(STRIDES), "in_index": list(range(len(STRIDES)))}
    if model.head == "semantic-fpn":
        return config | {
            "neck": {"type": "FPN", "in_channels": widths, "out_channels": width, "num_outs": len(STRIDES)},
            # The head takes the maps for these strides whatever strides they have, as in the published configuration.
            "decode_head": head("FPNHead", model.head_channels, 1.0, feature_strides=list(STRIDES), **several),
        }
    scales = [1] * len(STRIDES) if model.pyramid else [4, 2, 1, 0.5]
    return config | {
        "neck": {"type": "MultiLevelNeck", "in_channels": widths, "out_channels": width, "scales": scales},
        "decode_head": head("UPerHead", model.head_channels, 1.0, pool_scales=POOLS, **several),
        "auxiliary_head": head(
            "FCNHead", 256, 0.4, in_channels=width, in_index=len(STRIDES) - 1, num_convs=1, concat_input=False
        ),
    }
