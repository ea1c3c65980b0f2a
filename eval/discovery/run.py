"""From an encoder and images with boxes to one box an image, CorLoc and a record.

python -m eval discovery --checkpoint CHECKPOINT --data DIR --out DIR --protocol lost|tokencut
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

from eval.discovery.data import DiscoveryData, ImageObjects, open_discovery
from eval.discovery.protocols import PROTOCOLS
from eval.predictor import Predictor, claim_scoring, load_predictor, predictor
from eval.progress import Progress
from eval.protocol import find_protocol
from eval.run import AnyEncoder, Run
from flsl.runtime.preemption import Preempted, StopSignal
from flsl.runtime.schema import PositiveInt, section
from results.bootstrap import percentile_interval
from results.record import Dataset, Record

BOXES, SHEET = "boxes.json", "sheet.png"
OUTSIDE_PROTOCOL = "corloc@1"  # of boxes whose method is not ours: only the metric is known
SAVE_EVERY = 30.0  # seconds


@section
class Options:
    """What can be chosen; nothing but the protocol changes a box."""

    protocol: str = "lost"
    limit: PositiveInt | None = None  # evaluate only the first so many images; the record is partial


def evaluate(encoder: AnyEncoder, data: Path, run: Run, options: Options) -> Record:
    """Find a box in every image, save the boxes and score them.

    Raises:
        UserError: data or checkpoint cannot be used, or `run.out` holds another run.
        Preempted: a signal asked to stop; the boxes that were found are kept.
    """
    protocol = find_protocol(options.protocol, PROTOCOLS)
    with run.watch.phase("reading"):
        opened = open_discovery(data)
    chosen = opened.images[: options.limit]
    # Importing torch takes seconds: not before the folders are known to be there.
    from eval.discovery.boxes import find_boxes, read_boxes, write_boxes

    loaded, model = load_predictor(run, encoder, run.choose_device())
    config = dataclasses.asdict(protocol)
    about = {"annotations": opened.annotation_sha256, "images": opened.images_sha256}
    identity = {"encoder": model.identity, "protocol": config, "data": about}
    path = run.out / BOXES
    with run.claim(identity, part=_part(opened, chosen), outputs=[BOXES, SHEET]) as state:
        if state == "done":
            return run.kept()
        boxes = dict[str, Any](read_boxes(path)) if path.is_file() else {}
        todo = [image for image in chosen if image.name not in boxes]
        if len(todo) < len(chosen):
            print(f"{len(chosen) - len(todo)} of {len(chosen)} images have their box already")
        progress, saved = Progress("discovery: image", len(todo)), time.perf_counter()
        with StopSignal() as stop:
            for done, (name, box) in enumerate(
                find_boxes(loaded.encoder, todo, protocol, run.device, run.watch), start=1
            ):
                boxes[name] = box
                progress.update(done)
                if stop.requested or time.perf_counter() - saved > SAVE_EVERY:
                    write_boxes(path, boxes)
                    saved = time.perf_counter()
                if stop.requested:
                    raise Preempted(
                        "stopped while looking for objects; the same command goes on with the images that are left"
                    )
        write_boxes(path, boxes)
        return _score(run, opened, chosen, boxes, protocol.key(opened.name), model, config, {"boxes": BOXES})


def score(predictions: Path | None, encoder: "AnyEncoder | None", data: Path, run: Run, options: Options) -> Record:
    """Score saved boxes, anyone's; see `eval.discovery.boxes`.

    Raises:
        UserError: data or boxes are missing or malformed.
    """
    from eval.discovery.boxes import read_boxes, require_all

    path = predictions or run.out / BOXES
    boxes, opened = read_boxes(path), open_discovery(data)
    chosen = opened.images[: options.limit]
    require_all(boxes, (image.name for image in chosen), path)
    model = predictor(run, encoder, path, [path], "method")
    key, config = f"{opened.name}/{OUTSIDE_PROTOCOL}", {}
    if model.record is not None:
        key, config = f"{opened.name}/{model.record.protocol.partition('/')[2]}", model.record.config
    elif encoder is not None:
        protocol = find_protocol(options.protocol, PROTOCOLS)
        key, config = protocol.key(opened.name), dataclasses.asdict(protocol)
    identity = {"data": {"annotations": opened.annotation_sha256}}
    with claim_scoring(run, path, model, identity, part=_part(opened, chosen), outputs=[SHEET]):
        files = {"boxes": BOXES} if path.resolve() == (run.out / BOXES).resolve() else {}
        return _score(run, opened, chosen, boxes, key, model, config, files)


def _part(data: DiscoveryData, chosen: tuple[ImageObjects, ...]) -> list[str] | None:
    return [image.name for image in chosen] if len(chosen) < len(data.images) else None


def _score(
    run: Run,
    data: DiscoveryData,
    chosen: tuple[ImageObjects, ...],
    boxes: dict[str, Any],
    protocol: str,
    model: Predictor,
    config: dict[str, Any],
    files: dict[str, str],
) -> Record:
    """Score boxes; write the picture and the record."""
    from eval.discovery.scoring import correct, overlaps_of, write_pictures

    with run.watch.phase("scoring"):
        overlaps = overlaps_of(chosen, boxes)
        right = correct(overlaps)
    with run.watch.phase("pictures"):
        title = f"{model.model['name']}, {protocol}: worst first, then the best"
        if write_pictures(run.out / SHEET, chosen, boxes, overlaps, title):
            files = {**files, "sheet": SHEET}
    left_out = [f"{data.empty} images without an object are left out"] if data.empty else []
    return run.finish(
        model=model.model,
        protocol=protocol,
        dataset=Dataset(
            name=data.title,
            split=data.split,
            official=data.official,
            items_expected=len(data.images),
            items_evaluated=len(chosen),
            item=run.benchmark.item,
            annotation_sha256=data.annotation_sha256,
        ),
        values={"CorLoc": float(right.mean())},
        intervals={"CorLoc": percentile_interval(right, unit="images", seed=run.seed)},
        items=len(chosen),
        config=config,
        per_item={image.name: {"CorLoc": value} for image, value in zip(chosen, right.tolist())},
        files=files,
        warnings=model.warnings + left_out,
    )
