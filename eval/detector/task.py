"""A detector as a fine-tuning task: data in COCO format, mmdet's models, detections as COCO results."""

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from eval.detector.annotations import Annotations, read_annotations, require_same_categories
from eval.detector.config import detector_config, test_pipeline, train_pipeline
from eval.detector.mask_code import encode_mask
from eval.detector.recipe import Recipe
from eval.finetune.task import FinetuneOptions, Part, Task
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


class Split(NamedTuple):
    """One part of the data: COCO instances JSON, and the folder that its file names are in."""

    annotations: Path
    images: Path


@dataclass(frozen=True)
class Detection(Task):
    """What the detection benchmarks share."""

    options: DetectorOptions

    kind = "detector"
    package = "mmdet"
    components = "eval.detector.components"
    words = ("detect", "detection", "detections")
    predictions = saves = DETECTIONS
    made: ClassVar[tuple[str, ...]] = (DETECTIONS,)
    everything = ("testing.score_threshold=0.0",)

    @property
    @abstractmethod
    def recipe(self) -> Recipe:
        """The recipe that the options name."""

    @abstractmethod
    def split(self, part: Part) -> Split:
        """Return one part of the data."""

    @cached_property
    def truth(self) -> Annotations:
        """Annotations of the evaluated split."""
        return read_annotations(*self.split("test"))

    def identity(self, part: Part) -> dict[str, str]:
        """Return what tells a split from others: every file that it lists must be there."""
        file, folder = self.split(part)
        identity = {"annotations": sha256_of_file(file)}
        if self.scoring:
            return identity
        content = self.truth if part == "test" else read_annotations(file, folder)
        images = [folder / image["file_name"] for image in content.images]
        return identity | {"images": digest_of_files(folder, images, contents=False)}

    @property
    def trained_on(self) -> str:
        """Name of the annotation file."""
        return self.split("train").annotations.name

    def check_categories(self, trained: list[dict[str, Any]]) -> None:
        """Raise UserError where the evaluated split has other categories."""
        require_same_categories(trained, self.truth.categories, self.split("test").annotations)

    @property
    def images(self) -> int:
        """Number of evaluated images."""
        return len(self.truth.images)

    @property
    def pixels(self) -> int:
        """Pixels of the largest training image, as the network sees it."""
        images = self.recipe.images
        return images.jitter_size**2 if images.scale_jitter else max(images.train_short_sides) * images.longest_side

    def dataset(self, part: Part) -> dict[str, Any]:
        """Return a data set's configuration."""
        file, folder = self.split(part)
        config = {"type": "CocoFile", "annotations": str(file), "images": str(folder), "masks": False}
        if part == "test":
            return config | {"test_mode": True, "pipeline": test_pipeline(self.recipe.images)}
        masks, keep = self.recipe.model.with_masks, self.recipe.training.keep_empty_images
        return config | {"masks": masks, "keep_empty": keep, "pipeline": train_pipeline(self.recipe.images, masks)}

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

    def saved(self) -> list[dict[str, Any]] | None:
        """Return the detections, if they are there."""
        path = self.out / DETECTIONS
        return json.loads(path.read_bytes()) if path.is_file() else None

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
