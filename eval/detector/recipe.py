"""What a detector recipe can say: the sections of configs/coco/*.py and configs/uavdt/*.py."""

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field

from eval.finetune.recipe import (
    EncoderSection,
    Factor,
    FinetuneRecipe,
    OptimizationSection,
    ShareAboveZero,
    Side,
    TestingSection,
    require_ascending,
)
from flsl.runtime.schema import Positive, PositiveInt, Share, Width, section

NORM_GROUPS = 16  # of group normalization

Layers = Annotated[int, Field(ge=0, le=100)]


@section
class ModelSection(EncoderSection):
    """The detector; defaults are those of the published 1x recipe (docs/protocols.md, "COCO 2017")."""

    detector: Literal["mask-rcnn", "faster-rcnn"] = field(kw_only=True)
    fpn_channels: Width = 256
    box_convs: Layers = 0  # shared convolutions of the box head, before its fully connected layers
    fc_layers: Layers = 2
    fc_channels: Width = 1024
    class_agnostic: bool = False  # one box and one mask a region in place of one a category: learns from fewer objects
    head_norm: Literal["GN"] | None = None  # group normalization in pyramid and heads: learns faster from scratch
    mask_channels: Width = 256
    mask_convs: Layers = 4
    anchor_scale: Annotated[int, Field(ge=1, le=1000)] = 8  # an anchor's side on a level of stride s is this times s
    rpn_samples: PositiveInt = 256
    roi_samples: PositiveInt = 512
    roi_positives: ShareAboveZero = 0.25  # at most this share of them
    train_proposals: tuple[PositiveInt, PositiveInt] = (2000, 1000)  # before and after non-maximum suppression
    test_proposals: tuple[PositiveInt, PositiveInt] = (1000, 1000)
    ignore_overlap: ShareAboveZero | None = None  # candidates covered this far by an ignored region take no part

    def __post_init__(self):
        super().__post_init__()
        if not self.box_convs + self.fc_layers:
            raise ValueError("box_convs and fc_layers are both 0, so that the box head has no layer")
        for name in ("fpn_channels", "mask_channels"):
            if self.head_norm and getattr(self, name) % NORM_GROUPS:
                raise ValueError(
                    f"{name} must be a multiple of {NORM_GROUPS} with head_norm 'GN', but is {getattr(self, name)}"
                )

    @property
    def with_masks(self) -> bool:
        """Whether the detector finds masks besides boxes."""
        return self.detector == "mask-rcnn"


@section
class ImagesSection:
    """Sizes in pixels, and augmentation."""

    train_short_sides: tuple[Side, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    test_short_side: Side = 800
    longest_side: Side = 1333
    crop: bool = True  # every other image: resize to 400/500/600, crop 384x600, then resize
    flip: Share = 0.5
    scale_jitter: tuple[Factor, Factor] | None = None  # ViTDet's large-scale jitter in place of sizes and crop
    jitter_size: Side = 1024

    def __post_init__(self):
        sides = {"test_short_side": self.test_short_side}
        if self.scale_jitter is None:
            if not self.train_short_sides:
                raise ValueError("train_short_sides must name at least one size")
            sides["the largest of train_short_sides"] = max(self.train_short_sides)
        elif self.scale_jitter[0] > self.scale_jitter[1]:
            raise ValueError(f"scale_jitter must be (smallest, largest) factor, but is {self.scale_jitter}")
        elif self.scale_jitter[0] * self.jitter_size < 2:
            raise ValueError(
                f"scale_jitter {self.scale_jitter} makes jitter_size {self.jitter_size} less than 2 pixels"
            )
        for name, side in sides.items():
            if side > self.longest_side:
                raise ValueError(f"{name}, {side}, must be at most longest_side, {self.longest_side}")


@section
class TrainingSection(OptimizationSection):
    """Epochs, a tenth of the learning rate after some of them; `iterations` shortens the run, milestones move along."""

    epochs: Annotated[float, Field(gt=0, le=1e6)] = 12
    milestones: tuple[Positive, ...] = (8, 11)  # epochs after which the learning rate is a tenth
    keep_empty_images: bool = False  # train also on images without annotations

    def __post_init__(self):
        require_ascending("milestones", self.milestones)
        if any(epoch >= self.epochs for epoch in self.milestones):
            raise ValueError(f"milestones {self.milestones} must lie within the {self.epochs:g} epochs")

    def steps(self, images: int) -> int:
        """Return the number of iterations for so many training images."""
        return self.iterations or max(1, round(self.epochs * images / self.batch))

    def schedule(self, total: int) -> tuple[dict[str, Any], str]:
        """Return mmengine's scheduler, and how the learning rate falls in words."""
        falls = [max(1, round(total * epoch / self.epochs)) for epoch in self.milestones]
        words = f"a tenth after {' and '.join(map(str, falls))}"
        return {"type": "MultiStepLR", "by_epoch": False, "milestones": falls, "gamma": 0.1}, words


@section
class DetectionTestingSection(TestingSection):
    """What counts as a detection."""

    score_threshold: Share = 0.05
    nms_overlap: Share = 0.5
    max_detections: PositiveInt = 100


@section
class Recipe(FinetuneRecipe):
    """One detector recipe."""

    model: ModelSection
    images: ImagesSection = field(default_factory=ImagesSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    testing: DetectionTestingSection = field(default_factory=DetectionTestingSection)
