"""A UAVDT run: train the recipe's detector, detect on the test split, score by both protocols; or score saved detections.

python -m eval uavdt --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG]
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.detector.annotations import read_annotations
from eval.detector.config import check_encoder
from eval.detector.evaluation import OUTPUTS, DetectorOptions, Split, identity, train_and_detect
from eval.detector.recipe import identity_of, read_recipe
from eval.run import Predictor, Run, load, predictor
from eval.uavdt.coco_format import coco_document
from eval.uavdt.files import SequenceDetections, write_detections
from eval.uavdt.layout import Layout, open_layout
from eval.uavdt.recipe import UavdtRecipe
from eval.uavdt.scoring import OUTPUTS as TABLES
from eval.uavdt.scoring import read_results, write_scores
from flsl.runtime.distributed import is_main, on_main, start_ranks, wait
from flsl.runtime.files import digest_of_files, write_text
from results.record import Record

if TYPE_CHECKING:
    from flsl.checkpoint import LoadedEncoder
    from flsl.encoder import Encoder

SHARED_BY_RANKS = True  # under torchrun every process calls `evaluate`
DETECTIONS = "detections"
Options = DetectorOptions


def evaluate(encoder: "str | Path | LoadedEncoder | Encoder", data: Path, run: Run, options: Options) -> Record:
    """Train the recipe's detector unless it is trained, save its detections on the test split, score them.

    Raises:
        UserError: data, recipe or checkpoint cannot be used, `run.out` holds another run, or training failed.
    """
    recipe, _ = read_recipe(Path(options.config), options.overrides, UavdtRecipe)
    layout = open_layout(data)
    layout.require_frames()
    start_ranks(str(run.choose_device()))
    loaded = load(encoder, seed=run.seed)
    check_encoder(recipe.model, loaded.encoder.config)
    training = layout.sequences("train")[: recipe.frames.train_sequences]
    train_identity = "not read" if options.test_only else on_main(lambda: _data_identity(layout, training))
    tested = on_main(lambda: _data_identity(layout, layout.sequences("test")))
    allowed = ("recipe", "data") if options.test_only else ()
    outputs = (*TABLES, "annotations", DETECTIONS, *(["detections.json"] if options.test_only else OUTPUTS))
    made_of = identity(recipe, loaded.fingerprint, train_identity, tested)
    with run.claim(made_of, outputs=outputs, allowed=allowed, rescore=options.test_only) as state:
        if state == "done":
            return run.kept()
        train, test = split_files(layout, recipe, run.out)
        if is_main():
            with run.watch.phase("annotations"):
                write_splits(layout, recipe, train, test)
        wait()
        found, metadata = train_and_detect(
            run,
            recipe,
            encoder if isinstance(encoder, (str, Path)) else loaded,
            loaded,
            Split(train, layout.root),
            Split(test, layout.root),
            test_only=options.test_only,
            resumed=state == "resume",
            evaluated=read_annotations(test, layout.root),
        )
        warnings = list(metadata["warnings"])
        there = len(layout.sequences("train"))
        if layout.marker is None and there < 30:
            warnings.append(f"only {there} of the 30 official training sequences were there to train on")

        def score_them() -> Record:
            images = json.loads(test.read_bytes())["images"]
            for detections in _by_sequence(images, found, layout.sequences("test")):
                write_detections(run.out / DETECTIONS, detections)
            return write_scores(
                run,
                read_results(layout, run.out / DETECTIONS),
                model=Predictor(loaded.model_fields(run.name), warnings),
                config=identity_of(recipe),
                files={"detections": DETECTIONS, "config": "config.py", "detector": "detector.safetensors"},
                backend=options.metric_backend,
            )

        return on_main(score_them)


def score(
    predictions: Path | None,
    encoder: "str | Path | LoadedEncoder | Encoder | None",
    data: Path,
    run: Run,
    options: Options,
) -> Record:
    """Score saved detections, anyone's: one `<sequence>.txt` a test sequence, in the official toolkit's format.

    Raises:
        UserError: data or detections are missing or malformed.
    """
    folder = predictions or run.out / DETECTIONS
    with run.watch.phase("reading"):
        layout = open_layout(data)
        results = read_results(layout, folder)
    listed = [folder / f"{truth.name}.txt" for truth in results.truths]
    model = predictor(run, encoder, folder, listed, "detector")
    names = [truth.name for truth in results.truths]
    made_of = {"predictions": model.identity, "data": {"annotations": layout.annotation_sha256(names)}}
    with run.claim_scoring(folder, made_of, outputs=TABLES):
        return write_scores(
            run,
            results,
            model=model,
            config=model.record.config if model.record is not None else {},
            files={"detections": DETECTIONS} if folder.resolve() == (run.out / DETECTIONS).resolve() else {},
            backend=options.metric_backend,
        )


def _data_identity(layout: Layout, sequences: list[str]) -> dict[str, str]:
    frames = [path for sequence in sequences for path in layout.frames(sequence)]
    return {
        "annotations": layout.annotation_sha256(sequences),
        "images": digest_of_files(layout.root, frames, contents=False),
    }


def split_files(layout: Layout, recipe: UavdtRecipe, out: Path) -> tuple[Path, Path]:
    """Return where the annotations of the training and test frames go.

    The name tells one choice of training frames from another, so that an interrupted training is not mixed up.
    """
    sequences = len(layout.sequences("train")[: recipe.frames.train_sequences])
    name = f"train_{sequences}_sequences_stride_{recipe.frames.train_stride}.json"
    return out / "annotations" / name, out / "annotations" / "test.json"


def write_splits(layout: Layout, recipe: UavdtRecipe, train: Path, test: Path) -> None:
    """Write both splits as COCO documents."""
    frames, truths = recipe.frames, layout.read_truths("test")
    write_text(test, json.dumps(coco_document(layout, truths)))
    truths = layout.read_truths("train", frames.train_sequences)
    write_text(train, json.dumps(coco_document(layout, truths, stride=frames.train_stride, clip=True)))


def _by_sequence(
    images: list[dict[str, Any]], found: list[dict[str, Any]], sequences: list[str]
) -> list[SequenceDetections]:
    """Sort COCO results into sequences, by frame; every sequence gets a (perhaps empty) entry.

    Boxes are rounded to 1/1000 pixel and scores to 1e-6, so that the files stay readable.
    """
    place = {image["id"]: (image["sequence"], image["frame"]) for image in images}
    rows: dict[str, list[tuple]] = {sequence: [] for sequence in sequences}
    for result in found:
        sequence, frame = place[result["image_id"]]
        rows[sequence].append((frame, *result["bbox"], result["score"], result["category_id"]))
    detections = []
    for sequence, values in rows.items():
        unsorted = np.array(values, float).reshape(-1, 7)
        table = unsorted[np.argsort(unsorted[:, 0], kind="stable")]
        frame, category = table[:, 0].astype(int), table[:, 6].astype(int)
        detections.append(SequenceDetections(sequence, frame, table[:, 1:5].round(3), table[:, 5].round(6), category))
    return detections
