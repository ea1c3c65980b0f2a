"""Run a trained detector over images, and write its detections as COCO results before anything is made of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from torch.utils.data import DataLoader, Subset

from eval.detector import components  # noqa: F401  (registers with mmdet)
from eval.detector.annotations import require_same_categories
from eval.detector.config import detector_config, test_pipeline
from eval.detector.mask_code import encode_mask
from eval.detector.recipe import Recipe
from eval.detector.runner import Progress, quiet
from eval.detector.weights import read_detector
from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_strictly
from flsl.runtime.distributed import gather, is_main, start_ranks, this_rank, world_size
from flsl.runtime.files import write_atomic
from flsl.runtime.precision import choose_dtype
from flsl.runtime.preemption import Preempted, StopSignal
from flsl.runtime.stopwatch import Stopwatch

if TYPE_CHECKING:
    from mmdet.structures import DetDataSample


def load_detector(recipe: Recipe, path: Path, device: torch.device) -> tuple[BaseModel, list[dict[str, Any]]]:
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
    timings: list[dict[str, float]] | None = None,
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
        timings: gets an entry a batch of this process: its number of `images`, and the seconds that it took to wait for
            `data`, for the `network`, for pasting masks into the image (`pasting`) and for their code (`encoding`).

    Returns:
        COCO results, by image: `image_id`, `category_id`, `bbox` [x, y, width, height] in pixels of the original image,
        `score`, and from Mask R-CNN `segmentation` (compressed RLE).

    Raises:
        UserError: see `load_detector` and `read_annotations`; categories that are not the detector's.
    """
    device = device or torch.device("cpu")
    start_ranks(str(device))
    with StopSignal() as signal, quiet(Path(out).parent / "train" / "train.log") as console:
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
        require_same_categories(categories, data.categories, annotations)
        detections: list[dict[str, Any]] = []
        rank, world = this_rank(), world_size()
        loader = DataLoader(
            Subset(data, range(rank, min(limit or len(data), len(data)), world)),
            batch_size=recipe.testing.batch,
            num_workers=recipe.runtime.workers,
            collate_fn=pseudo_collate,
        )
        dtype = choose_dtype(recipe.testing.precision, device, "testing.precision")
        progress, batches = Progress(console, "detect", len(loader)), iter(loader)
        for done in range(1, len(loader) + 1):
            if signal.requested:
                raise Preempted(
                    f"stopped by a signal after {done - 1} of {len(loader)} batches; run the same command again"
                )
            watch = Stopwatch()
            with watch.phase("data"):
                batch = next(batches)
            split = nullcontext() if timings is None else _pasting_timed(model, device, watch)
            with watch.phase("network"), torch.inference_mode(), _cast(device, dtype), split:
                samples = model.test_step(batch)
            with watch.phase("encoding"):
                for sample in samples:
                    detections += coco_results(sample, categories)
            if timings is not None:
                timings.append({"images": len(samples)} | watch.phases)
            if rank == 0:
                progress.update(done)
    detections = gather(detections)
    detections.sort(key=lambda detection: detection["image_id"])  # stable: scores keep their order
    if is_main():
        write_atomic(Path(out), lambda path: path.write_text(json.dumps(detections)))
    return detections


def _cast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


@contextmanager
def _pasting_timed(model: torch.nn.Module, device: torch.device, watch: Stopwatch) -> Iterator[None]:
    """Take the time of pasting masks out of the phase `network` and into one of its own."""
    head = getattr(model.roi_head, "mask_head", None)
    if head is None:
        yield
        return
    paste = head.predict_by_feat

    def timed(*args: Any, **kwargs: Any) -> Any:
        _finish_queued(device)
        with watch.phase("pasting"):
            result = paste(*args, **kwargs)
            _finish_queued(device)
        return result

    head.predict_by_feat = timed
    try:
        yield
    finally:
        del head.predict_by_feat
        watch.add("network", -watch.phases.get("pasting", 0.0))


def _finish_queued(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
