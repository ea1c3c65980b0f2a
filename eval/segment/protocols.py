"""The protocols of segmentation: constants, never flags. A changed constant is another protocol with another name.

A record's protocol is `DATA/NAME@VERSION`, such as `voc2012/in-context-hbird@1`; what each computes is said in
docs/protocols.md, "Segmentation".
"""

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from eval.protocol import NamedProtocol

if TYPE_CHECKING:  # the command's help reads this module, and needs no arrays
    import numpy as np

    from flsl.confusion import Absent


@dataclass(frozen=True)
class Protocol(NamedProtocol):
    """What every protocol of segmentation has.

    Attributes:
        method: the module that computes predictions, `eval.segment....`; see `eval.segment.run`.
        mask_side: side in pixels of the squares that are evaluated, into which masks are squashed; None: the masks as
            they are.
        absent: what a class counts that is neither in the truth nor predicted.
        parts: folders of predictions, where an image has several.
        learns: whether predictions depend on the training images' masks.
    """

    learns: ClassVar[bool] = True
    method: str = ""
    mask_side: int | None = None
    absent: "Absent" = "zero"
    parts: tuple[str, ...] = ("",)

    def made(self, recorded: str, data: str) -> bool:
        """Tell whether a record's protocol is this one, on data of this name."""
        return recorded == self.key(data)

    def evaluated_shape(self, shape: tuple[int, int], patch_size: int) -> tuple[int, int]:
        """Return height and width in pixels at which a mask of a shape is evaluated."""
        return shape if self.mask_side is None else (self.mask_side, self.mask_side)

    def truth(self, mask: "np.ndarray", shape: tuple[int, int]) -> "np.ndarray":
        """Return a mask (H, W) at the evaluated size, by torch's nearest neighbor (corners of pixels)."""
        from eval.segment.crops import shrink_mask  # torch is not needed to know what there is

        return mask if mask.shape == shape else shrink_mask(mask, shape[0])


@dataclass(frozen=True)
class Frozen(Protocol):
    """What the protocols with a frozen encoder have: it encodes squares."""

    side: int = 512  # of the square in pixels

    def input_side(self, patch_size: int) -> int:
        """Return the side in pixels that patches fit in: the protocol's, or the next smaller multiple (504 for 14)."""
        return self.side // patch_size * patch_size


@dataclass(frozen=True)
class InContext(Frozen):
    """Labels are transferred from the most similar patches of the training images (open-hummingbird-eval 2.0).

    Lengths are in pixels. Masks are evaluated at the size of the encoded square.
    """

    method: str = "eval.segment.in_context"
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

    def evaluated_shape(self, shape: tuple[int, int], patch_size: int) -> tuple[int, int]:
        """Return the encoded square."""
        return self.input_side(patch_size), self.input_side(patch_size)


@dataclass(frozen=True)
class Squares(Frozen):
    """What Leopart's protocols have in common: squares of `side` pixels are encoded, masks of `mask_side` evaluated."""

    side: int = 448
    mask_side: int = 100  # the same checkpoint scored 41.8 or 47.7 for this number alone (Franca, issue 2)

    def truth(self, mask: "np.ndarray", shape: tuple[int, int]) -> "np.ndarray":
        """Return a mask as Leopart evaluates it: squashed to the encoded square by Pillow, then shrunk by torch."""
        from eval.segment.crops import small_truth

        return small_truth(mask, self.side, shape[0])


@dataclass(frozen=True)
class Overclustering(Squares):
    """k-means on the tokens of the evaluated images (Leopart 840e365, `sup_overcluster.py` and `cluster`)."""

    learns: ClassVar[bool] = False
    method: str = "eval.segment.overclustering"
    clusters: int = 500
    components: int = 50  # of the PCA of standardized tokens
    iterations: int = 100
    redos: int = 5  # of which the best is taken
    parts: tuple[str, ...] = tuple(f"seed{number}" for number in range(5))  # one clustering per seed


@dataclass(frozen=True)
class Linear(Frozen):
    """A linear head on frozen tokens; `eval.segment.linear` computes."""

    method: str = "eval.segment.linear"
    batch_size: int = 0
    learning_rate: float = 0.0
    weight_decay: float = 0.0
    dropout: float = 0.1  # share of the tokens' channels

    def batch(self, images: int) -> int:
        """Return the images of a step: the protocol's, or all there are where they are fewer."""
        return min(self.batch_size, images)

    def steps(self, images: int) -> int:
        """Return how many steps a training on so many images has."""
        raise NotImplementedError

    def rate(self, step: int, images: int) -> float:
        """Return the learning rate of a step (0-based)."""
        raise NotImplementedError


@dataclass(frozen=True)
class LinearLeopart(Linear, Squares):
    """One convolution, SGD (Leopart 840e365, `experiments/linear_probing`; NeCo has a batch of 128)."""

    side: int = 448
    mask_side: int = 100  # `train_mask_size` and `val_mask_size`; its bulk evaluation has 448
    batch_size: int = 60
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    momentum: float = 0.9
    epochs: int = 25  # of whole batches; the head after the last one is evaluated
    drop_after: int = 20  # epochs, then the rate is a tenth
    area: tuple[float, float] = (0.8, 1.0)  # of a training crop, as a share of the image's

    def steps(self, images: int) -> int:
        """Return the steps of all epochs."""
        return self.epochs * (images // self.batch(images))

    def rate(self, step: int, images: int) -> float:
        """Return a tenth of the learning rate after `drop_after` epochs."""
        epoch = step // (images // self.batch(images))
        return self.learning_rate * 0.1 ** (epoch // self.drop_after)


@dataclass(frozen=True)
class LinearDinoV3(Linear):
    """Batch normalization and a convolution, AdamW (DINOv3, `config-ade20k-linear-training.yaml`: 8 GPUs, 2 images each).

    Masks are evaluated as they are.
    """

    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    absent: "Absent" = "left out"
    iterations: int = 40_000
    warm_up: int = 1500
    warm_up_ratio: float = 1e-6
    ratios: tuple[float, float] = (0.5, 2.0)  # of the short side of a training image
    stride: int = 341  # of the windows of an evaluated image, whose short side is 512

    def steps(self, images: int) -> int:
        """Return the iterations, however many images there are."""
        return self.iterations

    def rate(self, step: int, images: int) -> float:
        """Return the rate of `WarmupOneCycleLR` with `pct_start: 0` and `final_div_factor: inf`."""
        done = max(step - 1, 0)  # the schedule does not move after the first step
        if done < self.warm_up:
            share = 1 - (1 - done / self.warm_up) * (1 - self.warm_up_ratio)
            return self.learning_rate * share * (1 - done / self.iterations)
        return self.learning_rate / 2 * (1 + math.cos(math.pi * (done + 1) / self.iterations))


@dataclass(frozen=True)
class FineTuned(Protocol):
    """The encoder is trained with a head of mmsegmentation's, by a recipe; masks are evaluated as they are.

    A recipe that was changed is another protocol: `camvid/semantic-fpn_40k-modified@1`.
    """

    method: str = "eval.segment.fine_tuned.task"
    absent: "Absent" = "left out"
    recipe: str = ""  # followed where no other is named

    def made(self, recorded: str, data: str) -> bool:
        """Tell whether a record's protocol is this one, as it is or modified, on data of this name."""
        return re.sub(r"-(modified|window).*", "", recorded.partition("@")[0]) == f"{data}/{self.name}"


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        InContext("in-context-hbird"),
        # Smaller memories of the same table, by their number of tokens.
        InContext("in-context-hbird_1024k", memory=1_024_000),
        InContext("in-context-hbird_102k", memory=102_400),
        LinearLeopart("linear-leopart"),
        LinearDinoV3("linear-dinov3"),
        Overclustering("overclustering-leopart"),
        # Leopart's other numbers of clusters; 21 are VOC's classes, and then each cluster is matched to one class.
        Overclustering("overclustering-leopart_k300", clusters=300),
        Overclustering("overclustering-leopart_k21", clusters=21),
        FineTuned("semantic-fpn_40k", recipe="configs/segment/semantic-fpn_vit-s16_40k.py"),
        FineTuned("upernet_160k", recipe="configs/segment/upernet_vit-s16_160k.py"),
        FineTuned("semantic-fpn_smoke", recipe="configs/segment/semantic-fpn_smoke.py"),
    )
}
