"""What a protocol of segmentation is given: encoder, data, constants, and which images are to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from eval.run import Run
from eval.segment.datasets import SegmentationData, Split
from eval.segment.protocols import Frozen
from eval.segment.tokens import TokenStore
from flsl.checkpoint import LoadedEncoder
from flsl.runtime.stopwatch import Stopwatch

P = TypeVar("P", bound=Frozen)


@dataclass(frozen=True)
class Task(Generic[P]):
    """One run's work.

    Attributes:
        loaded: the encoder, in eval mode on the run's device.
        data: classes and splits.
        protocol: the constants.
        todo: indices of the evaluated split's images that lack a prediction, ascending.
        chosen: indices of all images that this run evaluates; `todo` is among them.
        run: output folder, device, seed and stopwatch.
        store: where encoded images are.
    """

    loaded: LoadedEncoder
    data: SegmentationData
    protocol: P
    todo: Sequence[int]
    chosen: Sequence[int]
    run: Run
    store: TokenStore

    @property
    def train(self) -> Split:
        """The split that is learned from."""
        return self.data.split(self.data.train)

    @property
    def val(self) -> Split:
        """The split that is evaluated."""
        return self.data.split(self.data.val)

    @property
    def patch_size(self) -> int:
        """Side of a token in pixels."""
        return self.loaded.encoder.patch_size

    @property
    def side(self) -> int:
        """Side in pixels of the square that is encoded."""
        return self.protocol.input_side(self.patch_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of that square."""
        return self.side // self.patch_size, self.side // self.patch_size

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        return self.run.device

    @property
    def watch(self) -> Stopwatch:
        """Gets the seconds of each phase."""
        return self.run.watch
