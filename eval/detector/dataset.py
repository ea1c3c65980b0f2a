"""COCO-format data as mmdet's transforms want it, and images that say their name when unreadable."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import DATASETS, TRANSFORMS

from eval.detector.annotations import Annotations, read_annotations, require_annotated_size
from eval.finetune.sampling import SeededDataset
from flsl.runtime.errors import UserError
from flsl.runtime.images import read_bgr


@DATASETS.register_module()
class CocoFile(SeededDataset):
    """The images and instances of one annotation file; label i is the file's i-th category by id."""

    def __init__(self, annotations: str, images: str, masks: bool, keep_empty: bool = True, **kwargs: Any):
        """Read and check the file.

        Args:
            annotations: COCO instances JSON.
            images: folder of its images.
            masks: instances carry their segmentation.
            keep_empty: keep images without an instance to learn from.
            kwargs: `pipeline`, `test_mode` and the like, mmengine's.
        """
        self.masks, self.keep_empty = masks, keep_empty
        super().__init__(ann_file=str(annotations), data_prefix={"img": str(images)}, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return one dictionary an image, in the order of image ids."""
        content = read_annotations(self.ann_file, self.data_prefix["img"], self.masks)
        self.categories = [{"id": entry["id"], "name": entry["name"]} for entry in content.categories]  # by label
        self.warnings, self.listed = content.warnings, len(content.images)
        return [self._entry(content, image) for image in content.images]

    def _entry(self, content: Annotations, image: dict[str, Any]) -> dict[str, Any]:
        labels = {category: label for label, category in enumerate(content.category_ids)}
        instances = []
        for annotation in content.of_image.get(image["id"], ()):
            x, y, width, height = annotation["bbox"]
            inside = min(x + width, image["width"]) > max(x, 0) and min(y + height, image["height"]) > max(y, 0)
            if width < 1 or height < 1 or annotation["area"] <= 0 or not inside:
                continue  # nothing to learn from; the metrics read the file itself and still know of it
            instance = {
                "bbox": [x, y, x + width, y + height],
                "bbox_label": labels[annotation["category_id"]],
                "ignore_flag": int(annotation.get("iscrowd", 0)),
            }
            if self.masks:
                instance["mask"] = annotation["segmentation"]
            instances.append(instance)
        return {
            "img_id": image["id"],
            "img_path": f"{self.data_prefix['img']}/{image['file_name']}",
            "height": image["height"],
            "width": image["width"],
            "instances": instances,
        }

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out images without instances, if asked to; remember which images are wide (for the sampler)."""
        kept = [
            entry
            for entry in self.data_list
            if self.keep_empty or any(not instance["ignore_flag"] for instance in entry["instances"])
        ]
        if not kept:
            raise UserError(
                f"{self.ann_file}: no image has an annotation to learn from. Give another file, or "
                "--set training.keep_empty_images=True."
            )
        self.is_wide = np.array([entry["width"] > entry["height"] for entry in kept])
        return kept


@TRANSFORMS.register_module()
class ReadImage(BaseTransform):
    """Read `img_path` as BGR; an unreadable file, or one of another size than annotated, is an error that names it."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `img` (H, W, 3) uint8, `img_shape` and `ori_shape`."""
        path = results["img_path"]
        image = read_bgr(path)
        require_annotated_size(path, (image.shape[1], image.shape[0]), (results["width"], results["height"]))
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results
