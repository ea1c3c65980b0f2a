"""A detector as a fine-tuning task: data in COCO format, mmdet's models, detections as COCO results."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from eval.detector.annotations import Annotations, read_annotations
from eval.detector.config import detector_config, test_pipeline, train_pipeline
from eval.detector.mask_code import encode_mask
from eval.detector.recipe import Recipe
from eval.finetune.task import FinetuneOptions, Task
from flsl.runtime.files import digest_of_files, sha256_of_file, write_atomic
from flsl.runtime.schema import section
from flsl.runtime.stopwatch import Stopwatch

if TYPE_CHECKING:
    import torch
    from mmdet.structures import DetDataSample

DETECTIONS = "detections.json"


@section
class DetectorOptions(FinetuneOptions):
    """What can be chosen in a detection benchmark."""

    metric_backend: Literal["faster", "pycocotools"] = "faster"  # of COCO's metrics; both give the same


@dataclass(frozen=True)
class Split:
    """Images of one split: COCO instances JSON and the folder that its file names are in."""

    annotations: Path
    images: Path

    def identity(self, content: Annotations | None = None) -> dict[str, str]:
        """Return what tells these data from others; every file that is listed must be there."""
        content = content or read_annotations(self.annotations, self.images)
        files = [self.images / image["file_name"] for image in content.images]
        return {
            "annotations": sha256_of_file(self.annotations),
            "images": digest_of_files(self.images, files, contents=False),
        }


@dataclass(frozen=True)
class Detection(Task):
    """What the detection benchmarks share."""

    options: DetectorOptions

    kind = "detector"
    library = "mmdet"
    components = "eval.detector.components"
    found = "detections"
    verb = "detect"
    phase = "detection"
    predictions = DETECTIONS
    made: ClassVar[tuple[str, ...]] = (DETECTIONS,)
    everything = ("testing.score_threshold=0.0",)

    @property
    def recipe(self) -> Recipe:
        """The recipe that the options name."""
        raise NotImplementedError

    @property
    def train(self) -> Split:
        """The training split."""
        raise NotImplementedError

    @property
    def test(self) -> Split:
        """The evaluated split."""
        raise NotImplementedError

    @cached_property
    def truth(self) -> Annotations:
        """Annotations of the evaluated split."""
        return read_annotations(self.test.annotations, self.test.images)

    def train_identity(self) -> dict[str, str]:
        """Return what tells the training data from others."""
        return self.train.identity()

    def test_identity(self) -> dict[str, str]:
        """Return what tells the evaluated data from others."""
        return self.test.identity(self.truth)

    @property
    def names(self) -> tuple[str, str]:
        """The annotation files."""
        return self.train.annotations.name, str(self.test.annotations)

    @property
    def categories(self) -> list[dict[str, Any]]:
        """`id` and `name` of the evaluated split's categories, by label."""
        return self.truth.categories

    @property
    def images(self) -> int:
        """Number of evaluated images."""
        return len(self.truth.images)

    def train_data(self) -> dict[str, Any]:
        """Return the training data set's configuration."""
        masks = self.recipe.model.with_masks
        return self._data(self.train, train_pipeline(self.recipe.images, masks), masks=masks) | {
            "keep_empty": self.recipe.training.keep_empty_images
        }

    def test_data(self) -> dict[str, Any]:
        """Return the evaluated data set's configuration."""
        return self._data(self.test, test_pipeline(self.recipe.images), masks=False) | {"test_mode": True}

    def _data(self, split: Split, pipeline: list[dict[str, Any]], masks: bool) -> dict[str, Any]:
        return {
            "type": "CocoFile",
            "annotations": str(split.annotations),
            "images": str(split.images),
            "masks": masks,
            "pipeline": pipeline,
        }

    def model(self, backbone: dict[str, Any], classes: int) -> dict[str, Any]:
        """Return the detector's configuration."""
        return detector_config(self.recipe.model, self.recipe.testing, backbone, classes)

    @contextmanager
    def timed(self, model: "torch.nn.Module", watch: Stopwatch, finish: Callable[[], None]) -> Iterator[None]:
        """Take the time of pasting masks out of the phase `network` and into one of its own."""
        head: Any = getattr(model.roi_head, "mask_head", None)
        if head is None:
            yield
            return
        paste = head.predict_by_feat

        def timed(*args: Any, **kwargs: Any) -> Any:
            finish()
            with watch.phase("pasting"):
                result = paste(*args, **kwargs)
                finish()
            return result

        head.predict_by_feat = timed
        try:
            yield
        finally:
            del head.predict_by_feat
            watch.add("network", -watch.phases.get("pasting", 0.0))

    def collect(self, samples: Iterable[Any], categories: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return a batch's detections as COCO results."""
        return [result for sample in samples for result in coco_results(sample, categories)]

    def save(self, collected: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Write detections by image: `image_id`, `category_id`, `bbox` [x, y, width, height] in pixels of the original
        image, `score`, and from Mask R-CNN `segmentation` (compressed RLE)."""
        collected.sort(key=lambda detection: detection["image_id"])  # stable: scores keep their order
        write_atomic(self.out / DETECTIONS, lambda path: path.write_text(json.dumps(collected)))
        return collected

    def saved(self, weights: Path) -> list[dict[str, Any]] | None:
        """Return the detections, if they are newer than the weights."""
        path = self.out / DETECTIONS
        if not path.is_file() or path.stat().st_mtime < weights.stat().st_mtime:
            return None
        return json.loads(path.read_bytes())

    def mebibytes(self) -> float:
        """Return the size of all detections: about 100 bytes each, and 200 more for a mask."""
        each = 300 if self.recipe.model.with_masks else 100
        return self.images * self.recipe.testing.max_detections * each / 2**20


def coco_results(sample: "DetDataSample", categories: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one image's detections as COCO results, best first."""
    found = sample.pred_instances.cpu().numpy()
    boxes = found.bboxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    masks = getattr(found, "masks", None)
    for index in range(len(boxes)):
        result = {
            "image_id": sample.img_id,
            "category_id": categories[int(found.labels[index])]["id"],
            "bbox": [round(float(value), 3) for value in boxes[index]],
            "score": float(found.scores[index]),
        }
        if masks is not None:
            result["segmentation"] = encode_mask(masks[index])
        yield result
