"""The protocols of segmentation: constants, never flags. A changed constant is another protocol with another name.

A record's protocol is `DATA/NAME@VERSION`, such as `voc2012/in-context-hbird@1`; what each computes is said in
docs/protocols.md, "Segmentation".
"""

from dataclasses import dataclass

import numpy as np

from flsl.confusion import Absent
from flsl.runtime.errors import UserError, unknown_key


@dataclass(frozen=True)
class Protocol:
    """What every protocol of segmentation has.

    Attributes:
        name: as `--protocol` takes it.
        method: the module that computes predictions, `eval.segment....`; see `eval.segment.run`.
        version: of the constants.
        mask_side: side in pixels of the squares that are evaluated, into which masks are squashed; None: the masks as
            they are.
        absent: what a class counts that is neither in the truth nor predicted.
        parts: folders of predictions, where an image has several.
    """

    name: str
    method: str
    version: int = 1
    mask_side: int | None = None
    absent: Absent = "zero"
    parts: tuple[str, ...] = ("",)

    def key(self, data: str) -> str:
        """Return the name in records, such as `camvid/in-context-hbird@1`."""
        return f"{data}/{self.name}@{self.version}"

    def evaluated_shape(self, shape: tuple[int, int], patch_size: int) -> tuple[int, int]:
        """Return height and width in pixels at which a mask of a shape is evaluated."""
        return shape if self.mask_side is None else (self.mask_side, self.mask_side)

    def truth(self, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return a mask (H, W) at the evaluated size, by torch's nearest neighbor (corners of pixels)."""
        from eval.segment.crops import shrink_mask  # torch is not needed to know what there is

        return mask if mask.shape == shape else shrink_mask(mask, shape[0])


@dataclass(frozen=True)
class InContext(Protocol):
    """Labels are transferred from the most similar patches of the training images (open-hummingbird-eval 2.0).

    Lengths are in pixels. Masks are evaluated at the size of the encoded square.
    """

    method: str = "eval.segment.in_context"
    side: int = 512  # of the square that is encoded; the next smaller multiple of the patch, 504 for 14
    passes: int = 2  # over the training images, each drawn anew
    memory: int = 10_240_000  # tokens at most
    area: tuple[float, float] = (0.5, 2.0)  # of a training crop, as a share of the image's
    jitter: float = 0.1  # of brightness, contrast, saturation and hue
    jitter_probability: float = 0.5  # of each of them
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # RGB, of values in 0..1
    # 0.255 for ImageNet's 0.225 is a slip of the public code; its figures were made with it.
    std: tuple[float, float, float] = (0.229, 0.224, 0.255)
    neighbors: int = 30
    temperature: float = 0.02

    def input_side(self, patch_size: int) -> int:
        """Return the side of the encoded square for patches of a size."""
        return self.side // patch_size * patch_size

    def evaluated_shape(self, shape: tuple[int, int], patch_size: int) -> tuple[int, int]:
        """Return the encoded square."""
        return self.input_side(patch_size), self.input_side(patch_size)


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        InContext("in-context-hbird"),
        # Smaller memories of the same table, by their number of tokens.
        InContext("in-context-hbird_1024k", memory=1_024_000),
        InContext("in-context-hbird_102k", memory=102_400),
    )
}


def get_protocol(name: str) -> Protocol:
    """Return a protocol by name. Raises UserError naming the nearest valid one."""
    if name not in PROTOCOLS:
        raise UserError(unknown_key(f"--protocol {name}", name, PROTOCOLS, "protocol"))
    return PROTOCOLS[name]
