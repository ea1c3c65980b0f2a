"""A UAVDT run: train the recipe's detector, detect on the test split, score by both protocols; or score saved detections.

python -m eval uavdt --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG]
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from eval.detector.task import Detection, DetectorOptions, Split
from eval.finetune import evaluation
from eval.finetune.recipe import identity_of, read_recipe
from eval.run import Predictor, Run
from eval.uavdt.coco_format import coco_document
from eval.uavdt.files import SequenceDetections, write_detections
from eval.uavdt.layout import Layout, open_layout
from eval.uavdt.recipe import UavdtRecipe
from eval.uavdt.scoring import COCO, OFFICIAL, OUTPUTS, Results, read_results, write_scores
from flsl.runtime.files import digest_of_files, write_text
from results.record import Record

SHARED_BY_RANKS = True  # under torchrun every process calls `evaluate`
Options = DetectorOptions


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

    @property
    def sequences(self) -> list[str]:
        """Those that are trained on."""
        return self.layout.sequences("train")[: self.recipe.frames.train_sequences]

    def check(self) -> None:
        """Raise UserError if there are no pictures."""
        self.layout.require_frames()

    @property
    def train(self) -> Split:
        """The training frames; the name tells one choice of them from another."""
        name = f"train_{len(self.sequences)}_sequences_stride_{self.recipe.frames.train_stride}.json"
        return Split(self.out / "annotations" / name, self.data)

    @property
    def test(self) -> Split:
        """The test frames."""
        return Split(self.out / "annotations" / "test.json", self.data)

    def prepare(self) -> None:
        """Write both splits as COCO documents."""
        frames, truths = self.recipe.frames, self.layout.read_truths("test")
        write_text(self.test.annotations, json.dumps(coco_document(self.layout, truths)))
        truths = self.layout.read_truths("train", frames.train_sequences)
        document = coco_document(self.layout, truths, stride=frames.train_stride, clip=True)
        write_text(self.train.annotations, json.dumps(document))

    def train_identity(self) -> dict[str, str]:
        """Return what tells the training frames from others."""
        return self._identity(self.sequences)

    def test_identity(self) -> dict[str, str]:
        """Return what tells the test frames from others."""
        return self._identity(self.layout.sequences("test"))

    def _identity(self, sequences: list[str]) -> dict[str, str]:
        frames = [path for sequence in sequences for path in self.layout.frames(sequence)]
        return {
            "annotations": self.layout.annotation_sha256(sequences),
            "images": digest_of_files(self.data, frames, contents=False),
        }

    def annotations_sha256(self) -> str:
        """Return the hash of the test split's ground truth."""
        return self.layout.annotation_sha256(self.layout.sequences("test"))

    def files(self, predictions: Path) -> list[Path]:
        """Return one file a test sequence."""
        return [predictions / f"{sequence}.txt" for sequence in self.layout.sequences("test")]

    def read(self, predictions: Path) -> Results:
        """Return anyone's detections: one `<sequence>.txt` a test sequence, in the official toolkit's format."""
        return read_results(self.layout, predictions)

    def score(
        self,
        run: Run,
        found: Any,
        model: Predictor,
        files: dict[str, str],
        metadata: Mapping[str, Any] | None,
    ) -> Record:
        """Write a run's own detections in the toolkit's format, and score by both protocols; see `Task.score`."""
        config = model.record.config if model.record is not None else {}
        if metadata is not None:
            config, there = identity_of(self.recipe), len(self.layout.sequences("train"))
            if self.layout.marker is None and there < 30:
                words = f"only {there} of the 30 official training sequences were there to train on"
                model.warnings.append(words)
            images = json.loads(self.test.annotations.read_bytes())["images"]
            for detections in _by_sequence(images, found, self.layout.sequences("test")):
                write_detections(self.out / self.predictions, detections)
            found = read_results(self.layout, self.out / self.predictions)
        return write_scores(run, found, model=model, config=config, files=files, backend=self.options.metric_backend)


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
