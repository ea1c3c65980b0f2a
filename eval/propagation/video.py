"""What label propagation asks of a video."""

from pathlib import Path
from typing import Protocol

import numpy as np


class Video(Protocol):
    """What is known of it."""

    @property
    def name(self) -> str:
        """Of its folder of predictions."""

    @property
    def frames(self) -> tuple[Path, ...]:
        """In order."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames in pixels."""


class MaskedVideo(Video, Protocol):
    """A video with masks, and how they are read and written."""

    @property
    def masks(self) -> tuple[Path, ...]:
        """One a frame; those of frames that give objects are there, the names of all are those of predictions."""

    @property
    def first_is_given(self) -> bool:
        """Whether the first mask is no prediction, but written as it is."""

    def read_given(self) -> dict[int, np.ndarray]:
        """Return the ids (H, W) uint8 of the objects that a frame gives, by its index: all of the first one's annotation,
        void as background, and where others appear later, theirs alone in their first frame."""

    def to_disk(self, mask: np.ndarray) -> np.ndarray:
        """Return what is written for ids (H, W) uint8."""
