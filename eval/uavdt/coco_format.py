"""UAVDT as COCO: the JSON that trains the detector, that `eval data prepare uavdt` exports, and that `uavdt/coco` scores.

An ignore region becomes one crowd box for each category, because COCO matches each category by itself.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eval.uavdt.files import CATEGORIES, SequenceDetections, SequenceTruth
from eval.uavdt.layout import FRAMES, Layout
from flsl.runtime.device import cores
from flsl.runtime.images import check_image

OFFICIAL_SIZE = (1024, 540)  # pixels, where no frame tells; COCO's metric does not use it


def coco_document(
    layout: Layout, truths: list[SequenceTruth], *, stride: int = 1, clip: bool = False
) -> dict[str, Any]:
    """Return some sequences as a COCO document: every `stride`-th frame from the first.

    Frames without a box are kept: they teach and test what is no vehicle. File names are relative to `layout.root`.

    Args:
        layout: the copy of UAVDT; without pictures, names and sizes are the official ones.
        truths: ground truth of the sequences, in the order of the images.
        stride: of the frames.
        clip: cut boxes and ignore regions at the edge of the image, for training; evaluation takes them as they are.

    Raises:
        UserError: a frame is missing or is no picture.
    """
    document: dict[str, Any] = {
        "info": {"description": f"UAVDT, every {stride}. frame of {', '.join(truth.name for truth in truths)}"},
        "categories": [{"id": key, "name": name} for key, name in CATEGORIES.items()],
        "images": [],
        "annotations": [],
    }
    for truth in truths:
        frames = range(1, truth.length + 1, stride)
        paths = layout.frames(truth.name)[::stride] if layout.has_frames else None
        _append(document, truth, frames, paths, layout.root, clip)
    return document


def coco_results(document: dict[str, Any], detections: list[SequenceDetections]) -> list[dict[str, Any]]:
    """Return detections as COCO results on a document's images, in their order."""
    ids = {(image["sequence"], image["frame"]): image["id"] for image in document["images"]}
    results = []
    for d in detections:
        columns = (d.frame.tolist(), d.box.tolist(), d.score.tolist(), d.category.tolist())
        for frame, box, score, category in zip(*columns):
            result = {"image_id": ids[d.name, frame], "category_id": category, "bbox": box, "score": score}
            results.append(result)
    return results


def _append(
    document: dict[str, Any], truth: SequenceTruth, frames: range, paths: list[Path] | None, root: Path, clip: bool
) -> None:
    """Add one sequence's images and annotations."""
    images = document["images"]
    sizes = [OFFICIAL_SIZE] * len(frames)
    if paths is not None:
        with ThreadPoolExecutor(cores()) as pool:
            sizes = list(pool.map(check_image, paths))
    first = len(images) + 1
    for index, (frame, (width, height)) in enumerate(zip(frames, sizes)):
        file = paths[index].relative_to(root).as_posix() if paths else f"{FRAMES}/{truth.name}/img{frame:06d}.jpg"
        image = {"id": first + index, "file_name": file, "width": width, "height": height}
        images.append(image | {"sequence": truth.name, "frame": frame})
    ids = {frame: first + index for index, frame in enumerate(frames)}

    def add(frame: int, box: list[float], category: int, crowd: int, **more: int) -> None:
        if frame not in ids:
            return
        if clip:
            box = _clipped(box, *sizes[ids[frame] - first])
        if box[2] <= 0 or box[3] <= 0:
            return
        annotation: dict[str, Any] = {"id": len(document["annotations"]) + 1, "image_id": ids[frame]}
        annotation |= {"category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
        document["annotations"].append(annotation | more)

    columns = (truth.frame, truth.box, truth.category, truth.target, truth.out_of_view, truth.occlusion)
    for frame, box, category, target, out_of_view, occlusion in zip(*(column.tolist() for column in columns)):
        add(frame, box, category, 0, track_id=target, out_of_view=out_of_view, occlusion=occlusion)
    for frame, box in zip(truth.ignore_frame.tolist(), truth.ignore_box.tolist()):
        for category in CATEGORIES:
            add(frame, box, category, 1)


def _clipped(box: list[float], width: int, height: int) -> list[float]:
    """Cut a box at the edges of its image; what lies wholly outside gets a size of 0 or less."""
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[0] + box[2], width), min(box[1] + box[3], height)
    return [left, top, right - left, bottom - top]
