"""A COCO run: train the recipe's detector, detect on the validation split, score; or score saved detections.

python -m eval coco --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG]
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from eval.coco.detections import read_detections
from eval.coco.scoring import OUTPUTS, TRAIN_IMAGES, describe, write_scores
from eval.detector.annotations import Annotations, read_annotations
from eval.detector.recipe import Recipe
from eval.detector.task import Detection, DetectorOptions, Split
from eval.finetune import evaluation
from eval.finetune.recipe import identity_of, read_recipe
from eval.finetune.task import Part
from eval.predictor import Predictor
from eval.run import Run
from flsl.runtime.errors import UserError
from flsl.runtime.schema import section
from results.record import Record

SHARED_BY_RANKS = True  # under torchrun every process calls `evaluate`
Options = DetectorOptions


@section
class DataSection:
    """Files below --data; the defaults are COCO 2017's own layout. Any data set in COCO format will do."""

    train_annotations: str = "annotations/instances_train2017.json"
    train_images: str = "train2017"
    val_annotations: str = "annotations/instances_val2017.json"
    val_images: str = "val2017"


@section
class CocoRecipe(Recipe):
    """One recipe of configs/coco/."""

    data: DataSection = field(default_factory=DataSection)


@dataclass(frozen=True)
class FineTuning(Detection):
    """A detector on COCO, or on any data in its format."""

    tables = OUTPUTS
    drawn = {"count": 32, "val_count": 16, "height": 480, "width": 640}

    @cached_property
    def recipe(self) -> CocoRecipe:
        """The recipe that the options name."""
        return read_recipe(Path(self.options.config), self.options.overrides, cls=CocoRecipe)

    @property
    def protocols(self) -> tuple[str, ...]:
        """The recipe's own."""
        return (self.recipe.protocol,)

    def check(self) -> None:
        """Raise UserError if the data's folder is empty."""
        if not any(self.data.iterdir()):
            names = ", ".join(dataclasses.asdict(self.recipe.data).values())
            raise UserError(f"--data {self.data} is empty. It must hold {names}.")

    def split(self, part: Part) -> Split:
        """Return what the recipe's `data` section names."""
        names = self.recipe.data
        if part == "train":
            return Split(self.data / names.train_annotations, self.data / names.train_images)
        return Split(self.data / names.val_annotations, self.data / names.val_images)

    @cached_property
    def truth(self) -> Annotations:
        """Annotations of the validation split; there must be something to find."""
        file, images = self.split("test")
        masks = self.recipe.model.with_masks and not self.scoring
        return read_annotations(file, None if self.scoring else images, masks, scored=True)

    def read(self, predictions: Path) -> list[dict[str, Any]]:
        """Return anyone's COCO results."""
        self.check()
        return read_detections(predictions, self.truth)

    def outside_config(self) -> dict[str, Any]:
        """Return the recipe's, which says whether masks were looked for."""
        return identity_of(self.recipe)

    def score(
        self,
        run: Run,
        found: list[dict[str, Any]],
        model: Predictor,
        metadata: Mapping[str, Any] | None,
        about: dict[str, Any],
    ) -> Record:
        """Compute COCO's numbers; see `Task.score`."""
        protocol = "coco/outside@1" if model.outside else self.recipe.protocol
        about["protocol"] = model.record.protocol if model.record is not None else protocol
        masks = "segmentation" in found[0] if found else self.recipe.model.with_masks
        about["dataset"] = describe(self.truth, self.data)
        trained_on = metadata["images"] if metadata else None
        if about["dataset"].official and trained_on not in (None, TRAIN_IMAGES):
            words = f"trained on {trained_on} images, not on the {TRAIN_IMAGES} of COCO's train2017"
            about["warnings"].append(words)
        images = self.split("test").images
        return write_scores(run, self.truth, found, images, masks, self.options.metric_backend, about)

    def bench(self) -> None:
        """Print how long scoring takes."""
        from eval.coco.bench import bench_scoring

        bench_scoring(self.truth, ("box", "mask") if self.recipe.model.with_masks else ("box",))


evaluate = partial(evaluation.evaluate, FineTuning)
score = partial(evaluation.score, FineTuning)
