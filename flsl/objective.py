"""The sections of a recipe that say what FLSL optimizes; the model takes them as they are. Defaults are published ones."""

from typing import Annotated, Literal

from pydantic import Field

from flsl.runtime.schema import Depth, NotNegative, Positive, PositiveInt, Share, ShareBelowOne, Width, section

SCALE = 384**-0.5  # the published mean-shift scales have it written in, also for other widths


@section
class HeadConfig:
    """Sizes of the head; `centroids` is K."""

    centroids: Annotated[int, Field(ge=2, le=2**31)] = 4096
    hidden_dim: Width = 2048
    bottleneck_dim: Width = 256
    layers: Depth = 3
    norm_last_layer: bool = True


@section
class MeanShift:
    """Inverse temperatures of both mean-shifts; an optional start value makes a cosine schedule.

    `teacher_from` is where the mean-shift in the teacher's view begins: at the student's `query` (published), or, not
    published, at the teacher's own token at the query's `place`, so that a code for places cannot stand for content.
    """

    scale_sa: NotNegative = 0.1 * SCALE
    scale_ca: NotNegative = 0.2 * SCALE
    scale_sa_start: NotNegative | None = None
    scale_ca_start: NotNegative | None = None
    teacher_from: Literal["query", "place"] = "query"

    def __post_init__(self):
        starts = (
            self.scale_sa if self.scale_sa_start is None else self.scale_sa_start,
            self.scale_ca if self.scale_ca_start is None else self.scale_ca_start,
        )
        if self.scale_ca < self.scale_sa or starts[1] < starts[0]:
            raise ValueError("scale_ca must not be smaller than scale_sa at any time: training collapses")


@section
class Temperature:
    """Softmax temperatures; the teacher's rises linearly over the warm-up epochs."""

    student: Positive = 0.1
    teacher_start: Positive = 0.04
    teacher: Positive = 0.07
    warmup_epochs: Annotated[int, Field(ge=0, le=10**6)] = 30


@section
class Loss:
    """Weights and options of the objective."""

    upsilon: NotNegative = 0.03
    upsilon_start: NotNegative | None = None
    eta: NotNegative = 1.0
    gamma: NotNegative = 5.0
    volume_maximization: bool = True
    prior: tuple[Positive, ...] | None = None  # of the volume term: K shares that sum to 1; None is uniform
    centering: bool = False
    center_momentum: ShareBelowOne = 0.9
    layernorm_on_mode: bool = False

    def __post_init__(self):
        if self.prior is not None and abs(sum(self.prior) - 1) > 1e-6:
            raise ValueError(f"prior must sum to 1, but sums to {sum(self.prior):g}")


@section
class Stage:
    """Multi-stage training: the semantic constraint of an earlier stage's encoder, and how its attention is sharpened.

    `mixture`, scheduled from `mixture_start`, weighs the teacher's own attention against the constraint.
    """

    checkpoint: Annotated[str, Field(min_length=1)]
    attention_level: PositiveInt = 12  # blocks of the earlier encoder that are used
    scale: NotNegative = 0.2 * SCALE
    sharpness: Positive = 1000.0
    mixture: Share = 1.0
    mixture_start: Share = 0.0
