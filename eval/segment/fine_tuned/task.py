"""Segmentation as a fine-tuning task: any data set of `eval.segment.datasets`, mmsegmentation's models, a PNG an image.

python -m eval segment --protocol semantic-fpn_40k --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from eval.finetune import evaluation
from eval.finetune.pyramid import default_blocks
from eval.finetune.recipe import read_recipe
from eval.finetune.task import Part, Task
from eval.finetune.weights import read_metadata
from eval.predictor import Predictor
from eval.protocol import find_protocol
from eval.run import Run
from eval.segment.datasets import SegmentationData, Split, open_segmentation
from eval.segment.fine_tuned.config import TAPS, segmentor_config, test_pipeline, train_pipeline
from eval.segment.fine_tuned.recipe import Recipe
from eval.segment.predictions import Predictions
from eval.segment.protocols import PROTOCOLS, FineTuned
from eval.segment.report import PREDICTIONS, TABLES, write_report
from eval.segment.scoring import Scored
from flsl.runtime.errors import UserError
from results.record import Record


@dataclass(frozen=True)
class FineTuning(Task):
    """A segmentor on any data set of segmentation."""

    kind = "segmentor"
    package = "mmseg"
    components = "eval.segment.fine_tuned.components"
    words = ("predict", "prediction", "predictions")
    predictions = saves = PREDICTIONS
    made = (PREDICTIONS,)
    tables = TABLES
    drawn = {"count": 32, "val_count": 16, "height": 480, "width": 640}

    @cached_property
    def protocol(self) -> FineTuned:
        """The protocol that the options name, with the recipe that is followed."""
        protocol = find_protocol(self.options.protocol, PROTOCOLS)
        assert isinstance(protocol, FineTuned)  # its method is this module
        return protocol if self.options.config is None else replace(protocol, recipe=self.options.config)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that the options name, or the protocol's own."""
        recipe = read_recipe(Path(self.protocol.recipe), self.options.overrides, cls=Recipe)
        wanted, found = f"segment/{self.protocol.name}", recipe.protocol.partition("@")[0]
        if not self.protocol.made(found, "segment"):
            raise UserError(
                f"{self.protocol.recipe} is a recipe of {found}, not of {wanted}. Name its protocol (--protocol), or "
                "another --config."
            )
        return recipe

    @cached_property
    def opened(self) -> SegmentationData:
        """The data set."""
        return open_segmentation(self.data, self.options.layout)

    @property
    def protocols(self) -> tuple[str, ...]:
        """The data set's name and the recipe's protocol."""
        return (f"{self.opened.name}/{self.recipe.protocol.partition('/')[2]}",)

    def check(self) -> None:
        """Raise UserError where something is chosen that only frozen features have, or a segmentor of other classes is there."""
        for name in ("limit", "batch_size", "features"):
            if getattr(self.options, name) is not None:
                raise UserError(f"{name} is an option of frozen features; {self.protocol.name} trains a network")
        if self.options.test_only:
            self.check_categories(read_metadata(self.weights, self.kind)["categories"])

    def split(self, part: Part) -> Split:
        """Return one part of the data."""
        return self.opened.split(self.opened.train if part == "train" else self.opened.val)

    def identity(self, part: Part) -> dict[str, str]:
        """Return what tells a part from others."""
        identity = {"annotations": self.split(part).digest()}
        return identity | {"layout": self.opened.name, "classes": ", ".join(self.opened.classes)}

    @property
    def trained_on(self) -> str:
        """Name of the data set's training split."""
        return self.opened.record_name(self.opened.train)

    def check_categories(self, trained: list[dict[str, Any]]) -> None:
        """Raise UserError where the data have other classes."""
        names = tuple(entry["name"] for entry in trained)
        if names != self.opened.classes:
            differ = sorted(set(names) ^ set(self.opened.classes))[:3] or "in their order"
            raise UserError(
                f"{self.data} and the data that the segmentor was trained on differ in their classes, e.g. {differ}. "
                "Train and evaluate on the same classes."
            )

    @property
    def images(self) -> int:
        """Number of evaluated images."""
        return len(self.split("test"))

    @property
    def pixels(self) -> int:
        """Pixels of a training crop."""
        return self.recipe.images.crop**2

    def dataset(self, part: Part) -> dict[str, Any]:
        """Return a data set's configuration."""
        names = {"root": str(self.data), "layout": self.opened.name, "split": self.split(part).name}
        test = part == "test"
        pipeline = test_pipeline(self.recipe.images) if test else train_pipeline(self.recipe.images)
        return {"type": "SegmentationSplit", **names, "test_mode": test, "pipeline": pipeline}

    def model(self, backbone: dict[str, Any], classes: int) -> dict[str, Any]:
        """Return the segmentor's configuration."""
        model = self.recipe.model
        blocks = model.blocks or default_blocks(backbone["encoder"]["depth"], TAPS)
        return segmentor_config(
            model, self.recipe.images, backbone | {"blocks": blocks, "pyramid": model.pyramid}, classes
        )

    def pending(self, images: int) -> Sequence[int]:
        """Return the images that lack a prediction by these weights: each is written as soon as it is made."""
        return Predictions(self.out / PREDICTIONS).missing(self.split("test").names[:images], ("",))

    def collect(self, samples: Iterable[Any], categories: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Write the classes of a batch's images, each at its own size."""
        files, names = Predictions(self.out / PREDICTIONS), self.split("test").names
        for sample in samples:
            files.write(sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8), names[sample.number])
        return []

    def save(self, collected: list[dict[str, Any]]) -> Path:
        """Return the folder of predictions, which are there already."""
        return self.out / PREDICTIONS

    def saved(self) -> Path | None:
        """Return the folder of predictions, unless one is missing."""
        return None if self.pending(self.images) else self.out / PREDICTIONS

    def mebibytes(self) -> float:
        """Return the size of all predictions: PNGs of classes have about 20 KiB."""
        return self.images * 20 / 2**10

    def read(self, predictions: Path) -> Path:
        """Return the folder; `eval.segment.run` scores predictions that are there."""
        return predictions

    def score(
        self, run: Run, found: Path, model: Predictor, metadata: Mapping[str, Any] | None, about: dict[str, Any]
    ) -> Record:
        """Compute mIoU and write what shows it; see `Task.score`."""
        split = self.split("test")
        chosen, patch = range(len(split)), model.model["patch_size"]
        scored = Scored(Predictions(found), split, chosen, self.opened.classes, self.protocol, patch, run.seed)
        return write_report(run, self.opened, scored, self.protocols[0], model, about["config"], about["files"])


evaluate = partial(evaluation.evaluate, FineTuning)
