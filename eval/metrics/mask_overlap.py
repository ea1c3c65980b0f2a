"""faster-coco-eval on masks: each mask is decoded where it is needed, once.

The library's own mask mode converts every mask several times on its way to the overlaps, which takes longer than all
the rest. Here the overlaps come from pycocotools (a test holds the results equal), the matching from the library.
"""

from collections import defaultdict
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools import mask as rle

Pair = tuple[int, int]  # image id, category id
AT_ONCE = 200  # pycocotools 2.0.11 counts a list's masks in 8 bits


class MaskEvaluator(COCOeval_faster):
    """COCOeval_faster whose overlaps are those of masks."""

    def __init__(self, truth: COCO, found: COCO):
        """Take ground truth and results, as COCOeval_faster does; results must have compressed masks."""
        super().__init__(truth, found, "bbox")
        self.sizes = {image["id"]: (image["height"], image["width"]) for image in truth.dataset["images"]}
        self.truths, self.results = _by_pair(truth), _by_pair(found)
        results = found.dataset["annotations"]
        for part in (results[start : start + AT_ONCE] for start in range(0, len(results), AT_ONCE)):
            # An object's size is that of its mask, which decides what counts as small.
            for result, area in zip(part, rle.area([result["segmentation"] for result in part]).tolist()):
                result["area"] = area

    def computeIoU(self, image: int, category: int) -> np.ndarray:
        """Return the overlaps (results by falling score, ground truths) of one image and category."""
        truths = self.truths[image, category]
        results = sorted(self.results[image, category], key=lambda result: -result["score"])
        return rle.iou(
            [result["segmentation"] for result in results[: self.params.maxDets[-1]]],
            [compressed(truth["segmentation"], *self.sizes[image]) for truth in truths],
            [truth["iscrowd"] for truth in truths],
        )


def _by_pair(content: COCO) -> dict[Pair, list[dict[str, Any]]]:
    groups: dict[Pair, list[dict[str, Any]]] = defaultdict(list)
    for annotation in content.dataset["annotations"]:
        groups[annotation["image_id"], annotation["category_id"]].append(annotation)
    return groups


def compressed(segmentation: list | dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """Return a segmentation of any of COCO's three forms (polygons, run lengths, compressed) as compressed RLE."""
    if isinstance(segmentation, list):
        parts = rle.frPyObjects(segmentation, height, width)
        return parts[0] if len(parts) == 1 else rle.merge(parts)
    if isinstance(segmentation["counts"], list):
        return rle.frPyObjects(segmentation, height, width)
    return segmentation
