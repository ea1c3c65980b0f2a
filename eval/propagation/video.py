"""What label propagation asks of a benchmark's data."""

from pathlib import Path
from typing import Protocol, TypeVar

V = TypeVar("V", bound="Video", covariant=True)


class Video(Protocol):
    """What is known of a video."""

    @property
    def name(self) -> str:
        """Of its folder of predictions."""

    @property
    def frames(self) -> tuple[Path, ...]:
        """In order."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames in pixels."""


class Dataset(Protocol[V]):
    """What is known of a split."""

    @property
    def root(self) -> Path:
        """Folder of the benchmark."""

    @property
    def split(self) -> str:
        """Its name."""

    @property
    def videos(self) -> tuple[V, ...]:
        """All of the split."""

    @property
    def name(self) -> str:
        """For the record; it tells a part of the benchmark from the whole."""

    @property
    def official(self) -> bool:
        """Whether this is the whole official split."""

    def annotation_sha256(self) -> str:
        """Return one hash over all annotations."""
