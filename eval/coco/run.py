"""A COCO run: train the recipe's detector, detect on the validation split, score; or score saved detections.

python -m eval coco --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG]
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from eval.coco.detections import read_detections
from eval.coco.recipe import CocoRecipe
from eval.coco.scoring import OUTPUTS, write_scores
from eval.detector.annotations import Annotations, read_annotations
from eval.detector.task import Detection, DetectorOptions, Split
from eval.finetune import evaluation
from eval.finetune.recipe import identity_of, read_recipe
from eval.run import Predictor, Run
from flsl.runtime.errors import UserError
from flsl.runtime.files import sha256_of_file
from results.record import Record

SHARED_BY_RANKS = True  # under torchrun every process calls `evaluate`
Options = DetectorOptions


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

    @property
    def train(self) -> Split:
        """What the recipe's `data` section names."""
        names = self.recipe.data
        return Split(self.data / names.train_annotations, self.data / names.train_images)

    @property
    def test(self) -> Split:
        """Likewise."""
        names = self.recipe.data
        return Split(self.data / names.val_annotations, self.data / names.val_images)

    @cached_property
    def truth(self) -> Annotations:
        """Annotations of the validation split; there must be something to find."""
        images, masks = (None, False) if self.scoring else (self.test.images, self.recipe.model.with_masks)
        return read_annotations(self.test.annotations, images, masks, scored=True)

    def annotations_sha256(self) -> str:
        """Return the hash of the validation split's annotations."""
        return sha256_of_file(self.test.annotations)

    def read(self, predictions: Path) -> list[dict[str, Any]]:
        """Return anyone's COCO results."""
        self.check()
        return read_detections(predictions, self.truth)

    def score(
        self,
        run: Run,
        found: list[dict[str, Any]],
        model: Predictor,
        files: dict[str, str],
        metadata: Mapping[str, Any] | None,
    ) -> Record:
        """Compute COCO's numbers; see `Task.score`."""
        protocol, config = self.recipe.protocol, identity_of(self.recipe)
        if model.record is not None:
            protocol, config = model.record.protocol, model.record.config
        elif model.outside:
            protocol = "coco/outside@1"
        return write_scores(
            run,
            self.truth,
            found,
            protocol=protocol,
            masks_expected=self.recipe.model.with_masks,
            config=config,
            data=self.data,
            images=self.test.images,
            model=model,
            files=files,
            backend=self.options.metric_backend,
            trained_on=metadata["images"] if metadata else None,
        )

    def bench(self) -> None:
        """Print how long scoring takes."""
        from eval.coco.bench import bench_scoring

        bench_scoring(self.truth, ("box", "mask") if self.recipe.model.with_masks else ("box",))


evaluate = partial(evaluation.evaluate, FineTuning)
score = partial(evaluation.score, FineTuning)
