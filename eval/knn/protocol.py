"""The constants of `knn/bbox@1` and `knn/image@1` (docs/protocols.md, "k-NN in boxes")."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """Lengths in pixels.

    An image's short side is resized to `resize` (bicubic), its middle `crop` x `crop` is encoded. The largest box
    inside the crop is divided into `grid` x `grid` cells; the tokens at the cells' centers stand for the image, each
    with the box's class.
    """

    name: str = "knn/bbox@1"
    resize: int = 256
    crop: int = 224
    grid: int = 3
    temperature: float = 0.07
    neighbors: tuple[int, ...] = (10, 20, 100, 200)
    headline_neighbors: int = 20

    @property
    def headline(self) -> str:
        """The metric that ranks, and the score of single images: the one that `results.benchmarks` declares."""
        return f"vote_k{self.headline_neighbors}"

    @property
    def tokens(self) -> int:
        """Tokens of an image."""
        return self.grid**2


BBOX = Protocol()
IMAGE = Protocol(name="knn/image@1")  # pictures without boxes: the whole crop is the box
