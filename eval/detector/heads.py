"""The detectors' heads, with their outputs in float32 whatever precision they are computed in.

A CPU's autocast leaves softmax and sigmoid in bfloat16, whose 8 bits make scores tie and boxes jump.
"""

from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class Float32RPNHead(RPNHead):
    """mmdet's region proposal head."""

    def forward_single(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return objectness and box deltas of one level in float32."""
        return tuple(output.float() for output in super().forward_single(x))


@MODELS.register_module()
class Float32BoxHead(ConvFCBBoxHead):
    """mmdet's box head."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return class logits and box deltas of the regions in float32."""
        return tuple(output.float() for output in super().forward(x))


@MODELS.register_module()
class Float32MaskHead(FCNMaskHead):
    """mmdet's mask head."""

    def forward(self, x: Tensor) -> Tensor:
        """Return mask logits of the regions in float32."""
        return super().forward(x).float()
