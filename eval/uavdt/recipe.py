"""A UAVDT recipe: the detector's sections (`eval.detector.recipe`) and which training frames it sees."""

from dataclasses import field

from eval.detector.recipe import Recipe
from flsl.runtime.schema import section


@section
class FramesSection:
    """The training frames. Neighboring frames of a video are nearly the same, so a stride saves time."""

    train_sequences: int | None = None  # the first so many of the official list; None takes all that are there
    train_stride: int = 1  # every so many frames of a sequence, from its first

    def __post_init__(self):
        if self.train_stride < 1 or (self.train_sequences is not None and self.train_sequences < 1):
            raise ValueError("train_stride and train_sequences must be at least 1")


@section
class UavdtRecipe(Recipe):
    """One recipe of configs/uavdt/. The record's protocols are `uavdt/official@1` and `uavdt/coco@1` whatever the
    detector; `protocol` here names the way it was trained, and is kept in the record's config."""

    frames: FramesSection = field(default_factory=FramesSection)
