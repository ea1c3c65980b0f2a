"""What label propagation asks of a video."""

from pathlib import Path
from typing import Protocol


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
