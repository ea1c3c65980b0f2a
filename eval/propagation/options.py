"""What can be chosen for every label propagation."""

from typing import Literal

from flsl.runtime.schema import PositiveInt, section


@section
class Options:
    """Nothing here but `protocol`, `split` and `precision` changes a prediction."""

    protocol: str
    split: str = "val"  # list of videos
    limit: PositiveInt | None = None  # only the first so many; the record is partial
    processes: PositiveInt = 1  # that share the videos, and the GPUs
    precision: Literal["fp32", "bf16"] = "fp32"  # of the encoder
