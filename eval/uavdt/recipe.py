"""A UAVDT recipe: the detector's sections (`eval.detector.recipe`) and which training frames it sees."""

from dataclasses import field

from eval.detector.recipe import Recipe
from flsl.runtime.schema import PositiveInt, section


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
