"""mmdet's transforms for training and testing, from a recipe's `images` section."""

from typing import Any

from eval.detector.recipe import ImagesSection


def train_pipeline(images: ImagesSection, masks: bool) -> list[dict[str, Any]]:
    """Return the training transforms: read, resize and crop at random, flip, pack (protocols.md, COCO recipe)."""
    load = [{"type": "ReadImage"}, {"type": "LoadAnnotations", "with_bbox": True, "with_mask": masks}]
    flip = {"type": "RandomFlip", "prob": images.flip}
    clean = {"type": "FilterAnnotations", "min_gt_bbox_wh": (1, 1), "by_mask": masks, "keep_empty": False}
    return [*load, *_sizes(images, masks), flip, clean, {"type": "PackDetInputs"}]


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
