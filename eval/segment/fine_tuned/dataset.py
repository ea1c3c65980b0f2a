"""A split of a segmentation data set as mmsegmentation's transforms want it."""

from typing import Any

import numpy as np
from mmengine.registry import DATASETS

from eval.finetune.sampling import SeededDataset
from eval.segment.datasets import open_segmentation


@DATASETS.register_module()
class SegmentationSplit(SeededDataset):
    """The images of one split, in training with their masks; label i is class i, 255 is void."""

    def __init__(self, root: str, layout: str, split: str, **kwargs: Any):
        """Open the split.

        Args:
            root: the data's folder.
            layout: see `open_segmentation`.
            split: its name.
            kwargs: `pipeline`, `test_mode` and the like, mmengine's.
        """
        data = open_segmentation(root, layout)
        self.split = data.split(split)
        self.categories = [{"id": number, "name": name} for number, name in enumerate(data.classes)]
        self.warnings, self.listed = [], len(self.split)
        self.is_wide = np.zeros(self.listed, bool)  # crops are squares: any images make a batch
        super().__init__(data_root=root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return one dictionary an image, in the split's order."""
        return [{"number": number, "img_path": str(path)} for number, path in enumerate(self.split.images)]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return an image (H, W, 3) uint8 BGR, and in training its mask (H, W) uint8; UserError names a bad file."""
        entry = super().get_data_info(idx)
        image = np.ascontiguousarray(self.split.image(idx)[..., ::-1])
        entry |= {"img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2], "seg_fields": []}
        if not self.test_mode:
            entry |= {"gt_seg_map": self.split.mask(idx), "seg_fields": ["gt_seg_map"]}
        return entry
