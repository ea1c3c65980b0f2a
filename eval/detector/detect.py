"""Run a trained detector over images, and write its detections as COCO results before anything is made of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_dist_info
from pycocotools import mask as rle
from torch.utils.data import DataLoader, Subset

from eval.detector import components  # noqa: F401  (registers with mmdet)
from eval.detector.distributed import gather, is_main, join
from eval.detector.model import detector_config
from eval.detector.pipeline import test_pipeline
from eval.detector.recipe import Recipe, resolve_precision
from eval.detector.runner import Progress, quiet
from eval.detector.weights import read_detector
from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_strictly
from flsl.errors import UserError
from flsl.files import write_atomic

if TYPE_CHECKING:
    from mmdet.structures import DetDataSample


def load_detector(recipe: Recipe, path: Path, device: torch.device) -> tuple[torch.nn.Module, list[dict[str, Any]]]:
    """Return the trained detector in eval mode, and its categories in the order of labels.

    Raises:
        UserError: no such file, not a detector, or one of another recipe.
    """
    metadata, weights = read_detector(Path(path))
    categories = metadata["categories"]
    config = detector_config(recipe.model, recipe.testing, EncoderConfig(**metadata["encoder"]), len(categories))
    model = MODELS.build(ConfigDict(config))
    load_strictly(model, weights, str(path))
    model = model.to(device).eval()
    if device.type == "cpu":
        model = model.to(memory_format=torch.channels_last)
    return model, categories


def detect(
    recipe: Recipe,
    detector: Path,
    *,
    annotations: Path,
    images: Path,
    out: Path,
    device: torch.device | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Detect objects on every image of an annotation file.

    Args:
        recipe: its `model`, `images` and `testing` sections are used.
        detector: what `train_detector` returned.
        annotations: COCO instances JSON that lists the images (its boxes are not looked at).
        images: their folder.
        out: file that the detections are written to.
        device: where to compute; the CPU if not given. Under torchrun the images are shared by the processes.
        limit: look at the first so many images only, to measure how long one takes.

    Returns:
        COCO results, by image: `image_id`, `category_id`, `bbox` [x, y, width, height] in pixels of the original image,
        `score`, and from Mask R-CNN `segmentation` (compressed RLE).

    Raises:
        UserError: see `load_detector` and `read_annotations`; categories that are not the detector's.
    """
    device = device or torch.device("cpu")
    join(device)
    with quiet(Path(out).parent / "train" / "train.log") as console:
        model, categories = load_detector(recipe, detector, device)
        data = DATASETS.build(
            {
                "type": "CocoFile",
                "annotations": str(annotations),
                "images": str(images),
                "masks": False,
                "test_mode": True,
                "pipeline": test_pipeline(recipe.images),
            }
        )
        _require_same_categories(categories, data.metainfo, annotations)
        detections = []
        rank, world = get_dist_info()
        loader = DataLoader(
            Subset(data, range(rank, min(limit or len(data), len(data)), world)),
            batch_size=recipe.testing.batch,
            num_workers=recipe.runtime.workers,
            collate_fn=pseudo_collate,
        )
        dtype = resolve_precision(recipe.testing.precision, device)
        progress, done = Progress(console, "detect", len(loader)), 0
        for done, batch in enumerate(loader, 1):
            with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                samples = model.test_step(batch)
            for sample in samples:
                detections += coco_results(sample, categories)
            if rank == 0:
                progress.update(done)
    detections = gather(detections)
    detections.sort(key=lambda detection: detection["image_id"])  # stable: scores keep their order
    if is_main():
        write_atomic(Path(out), lambda path: path.write_text(json.dumps(detections)))
    return detections


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
            code = rle.encode(np.asfortranarray(masks[index], dtype=np.uint8))
            result["segmentation"] = {"size": code["size"], "counts": code["counts"].decode()}
        yield result


def _require_same_categories(categories: list[dict[str, Any]], metainfo: dict[str, Any], annotations: Path) -> None:
    wanted = {category["id"]: category["name"] for category in categories}
    given = dict(zip(metainfo["category_ids"], metainfo["classes"]))
    if wanted != given:
        unknown = sorted(set(wanted.items()) ^ set(given.items()))[:3]
        raise UserError(
            f"{annotations} and the annotations that the detector was trained on differ in their categories, "
            f"e.g. {unknown}. Train and evaluate on the same categories."
        )
