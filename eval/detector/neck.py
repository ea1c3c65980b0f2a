"""The feature pyramid network, with its output in float32 whatever precision it is computed in."""

from mmdet.models.necks import FPN
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class Float32FPN(FPN):
    """mmdet's FPN; its maps leave in float32.

    mmdet casts the regions of interest to the type of these maps. bfloat16 keeps 8 bits: a box edge at x = 1000 would
    move by up to 4 pixels, and in float16 by half a pixel.
    """

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the maps `(B, C, H / s, W / s)` in float32, s = 4, 8, 16, 32, 64."""
        return tuple(level.float() for level in super().forward(inputs))
