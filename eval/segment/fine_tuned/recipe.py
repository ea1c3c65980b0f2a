"""What a recipe of fine-tuned segmentation can say: the sections of configs/segment/*.py."""

from dataclasses import field
from typing import Literal

from eval.finetune.recipe import (
    Batch,
    EncoderSection,
    Factor,
    FinetuneRecipe,
    OptimizationSection,
    ShareAboveZero,
    Side,
    TestingSection,
)
from flsl.runtime.schema import Count, NotNegative, Positive, PositiveInt, Share, ShareBelowOne, Width, section


@section
class ModelSection(EncoderSection):
    """The head and its neck; defaults are those of the published Semantic FPN (docs/protocols.md, "Fine-tuned")."""

    head: Literal["semantic-fpn", "upernet"] = field(kw_only=True)
    drop_path: ShareBelowOne = 0.1
    pyramid: bool = False  # maps of strides 4 to 32, as the detectors see them, in place of four of the patch's stride
    neck_channels: Width | None = 256  # None: the encoder's width
    head_channels: Width = 128
    dropout: ShareBelowOne = 0.1  # of whole channels before the last layer


@section
class ImagesSection:
    """Sizes in pixels, and augmentation: mmsegmentation's own for ADE20K."""

    short_side: Side = 512  # of training images before `scale`, and of tested ones
    longest_side: Side = 2048  # likewise
    scale: tuple[Factor, Factor] = (0.5, 2.0)  # smallest and largest factor on a training image's size
    crop: Side = 512  # of a square
    largest_class: ShareAboveZero = 0.75  # a crop is drawn anew, up to 10 times, while one class fills more of it
    flip: Share = 0.5
    photometric: bool = True  # brightness, contrast, saturation and hue, each in half of the images

    def __post_init__(self):
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must be (smallest, largest) factor, but is {self.scale}")
        if self.short_side > self.longest_side:
            raise ValueError(f"short_side, {self.short_side}, must be at most longest_side, {self.longest_side}")
        if self.scale[0] * self.short_side < 2:
            raise ValueError(f"scale {self.scale} makes short_side {self.short_side} less than 2 pixels")


@section
class TrainingSection(OptimizationSection):
    """Iterations, the learning rate falling to 0 linearly over all of them, warm-up included."""

    iterations: PositiveInt = 40_000
    batch: Batch = 32
    base_batch: Batch = 32
    learning_rate: Positive = 6e-5
    weight_decay: NotNegative = 0.01
    warmup_iterations: Count = 1500
    warmup_factor: ShareAboveZero = 1e-6


@section
class SingleImageTesting(TestingSection):
    """Whole images have sizes of their own, so they are tested one by one."""

    batch: Literal[1] = 1


@section
class Recipe(FinetuneRecipe):
    """One recipe. The record's protocol is the data set's name and the part of `protocol` after the slash."""

    model: ModelSection
    images: ImagesSection = field(default_factory=ImagesSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    testing: SingleImageTesting = field(default_factory=SingleImageTesting)

    def __post_init__(self):
        if self.model.head == "upernet" and self.training.batch < 2:
            raise ValueError(
                "training.batch must be at least 2 with model.head 'upernet', which normalizes over a batch"
            )
