"""A UAVDT run: train the recipe's detector, detect on the test split, score by both protocols; or score saved detections.

python -m eval uavdt --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG]
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from eval.detector.recipe import Recipe
from eval.detector.task import Detection, DetectorOptions, Split
from eval.finetune import evaluation
from eval.finetune.recipe import read_recipe
from eval.finetune.task import Part
from eval.predictor import Predictor
from eval.run import Run
from eval.uavdt.coco_format import coco_document
from eval.uavdt.files import SequenceDetections, write_detections
from eval.uavdt.layout import Layout, open_layout
from eval.uavdt.scoring import COCO, OFFICIAL, OUTPUTS, Results, read_results, write_scores
from flsl.runtime.files import digest_of_files, write_text
from flsl.runtime.schema import PositiveInt, section
from results.record import Record

TRAIN_FRAMES = 24_143  # of the 30 official training sequences
SHARED_BY_RANKS = True  # under torchrun every process calls `evaluate`
Options = DetectorOptions


@section
class FramesSection:
    """The training frames. Neighboring frames of a video are nearly the same, so a stride saves time."""

    train_sequences: PositiveInt | None = None  # the first so many of the official list; None takes all that are there
    train_stride: PositiveInt = 1  # every so many frames of a sequence, from its first


@section
class UavdtRecipe(Recipe):
    """One recipe of configs/uavdt/. The record's protocols are `uavdt/official@1` and `uavdt/coco@1` whatever the
    detector; `protocol` here names the way it was trained, and is kept in the record's config."""

    frames: FramesSection = field(default_factory=FramesSection)


@dataclass(frozen=True)
class FineTuning(Detection):
    """A detector on UAVDT; its training and test frames are written to OUT/annotations in COCO's format."""

    protocols = (OFFICIAL, COCO)
    tables = OUTPUTS
    predictions = "detections"
    made = (*Detection.made, "annotations", "detections")
    drawn = {"sequences": 1, "train_sequences": 1, "frames": 16, "height": 540, "width": 1024}

    @cached_property
    def recipe(self) -> UavdtRecipe:
        """The recipe that the options name."""
        return read_recipe(Path(self.options.config), self.options.overrides, cls=UavdtRecipe)

    @cached_property
    def layout(self) -> Layout:
        """The copy of the benchmark."""
        return open_layout(self.data)

    def sequences(self, part: Part) -> list[str]:
        """Return those that are trained on, or tested on."""
        return self.layout.sequences(part)[: self.recipe.frames.train_sequences if part == "train" else None]

    def check(self) -> None:
        """Raise UserError if there are no pictures."""
        self.layout.require_frames()

    def split(self, part: Part) -> Split:
        """Return frames; the name tells one choice of those that are trained on from another."""
        name = "test"
        if part == "train":
            name = f"train_{len(self.sequences(part))}_sequences_stride_{self.recipe.frames.train_stride}"
        return Split(self.out / "annotations" / f"{name}.json", self.data)

    def prepare(self) -> None:
        """Write both splits as COCO documents; where nothing is trained, only what is tested need be there."""
        frames, truths = self.recipe.frames, self.layout.read_truths("test")
        write_text(self.split("test").annotations, json.dumps(coco_document(self.layout, truths)))
        if self.options.test_only:
            return
        truths = self.layout.read_truths("train", frames.train_sequences)
        document = coco_document(self.layout, truths, stride=frames.train_stride, clip=True)
        write_text(self.split("train").annotations, json.dumps(document))

    def identity(self, part: Part) -> dict[str, str]:
        """Return what tells the frames from others."""
        sequences = self.sequences(part)
        identity = {"annotations": self.layout.annotation_sha256(sequences)}
        if self.scoring:
            return identity
        frames = [path for sequence in sequences for path in self.layout.frames(sequence)]
        return identity | {"images": digest_of_files(self.data, frames, contents=False)}

    def files(self, predictions: Path) -> list[Path]:
        """Return one file a test sequence."""
        return [predictions / f"{sequence}.txt" for sequence in self.sequences("test")]

    def read(self, predictions: Path) -> Results:
        """Return anyone's detections: one `<sequence>.txt` a test sequence, in the official toolkit's format."""
        return read_results(self.layout, predictions)

    def score(
        self, run: Run, found: Any, model: Predictor, metadata: Mapping[str, Any] | None, about: dict[str, Any]
    ) -> Record:
        """Write a run's own detections in the toolkit's format, and score by both protocols; see `Task.score`."""
        if metadata is not None:
            if self.layout.marker is None and metadata["images"] != TRAIN_FRAMES:
                words = f"trained on {metadata['images']} frames, not on the {TRAIN_FRAMES} of the official training sequences"
                about["warnings"].append(words)
            images = json.loads(self.split("test").annotations.read_bytes())["images"]
            for detections in _by_sequence(images, found, self.sequences("test")):
                write_detections(self.out / self.predictions, detections)
            found = read_results(self.layout, self.out / self.predictions)
        return write_scores(run, found, self.options.metric_backend, about)


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


evaluate = partial(evaluation.evaluate, FineTuning)
score = partial(evaluation.score, FineTuning)
