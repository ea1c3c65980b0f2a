"""Everything of ours that mmdet builds by name: importing this module registers it, after mmcv's operators.

Neck and heads are mmdet's, with outputs in float32 whatever precision they are computed in. A CPU's autocast leaves
softmax and sigmoid in bfloat16, whose 8 bits make scores tie and boxes jump.
"""

from torch import Tensor

from eval.finetune.operators import install_operators

install_operators()  # before anything imports mmcv.ops, which the modules below do

from mmdet.models.dense_heads import RPNHead  # noqa: E402
from mmdet.models.necks import FPN  # noqa: E402
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead  # noqa: E402
from mmdet.models.roi_heads.mask_heads import FCNMaskHead  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402

from eval.detector import dataset  # noqa: E402, F401
from eval.finetune import backbone, optimizer, states  # noqa: E402, F401


@MODELS.register_module()
class Float32FPN(FPN):
    """mmdet's FPN; its maps leave in float32.

    mmdet casts the regions of interest to the type of these maps. bfloat16 keeps 8 bits: a box edge at x = 1000 would
    move by up to 4 pixels, and in float16 by half a pixel.
    """

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the maps `(B, C, H / s, W / s)` in float32, s = 4, 8, 16, 32, 64."""
        return tuple(level.float() for level in super().forward(inputs))


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
