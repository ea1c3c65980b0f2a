"""Everything of ours that mmdet builds by name: importing this module registers it, after mmcv's operators.

Neck and heads are mmdet's, with outputs in float32 whatever precision they are computed in. A CPU's autocast leaves
softmax and sigmoid in bfloat16, whose 8 bits make scores tie and boxes jump.
"""

from eval.finetune.operators import install_operators

install_operators()  # before anything imports mmcv.ops, which the modules below do

from mmdet.models.dense_heads import RPNHead  # noqa: E402
from mmdet.models.necks import FPN  # noqa: E402
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead  # noqa: E402
from mmdet.models.roi_heads.mask_heads import FCNMaskHead  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402

from eval.detector import dataset  # noqa: E402, F401
from eval.finetune.components import register_in_float32  # noqa: E402

# mmdet casts the regions of interest to the type of the pyramid's maps. bfloat16 keeps 8 bits: a box edge at x = 1000 would
# move by up to 4 pixels, and in float16 by half a pixel.
register_in_float32(MODELS, FPN)
register_in_float32(MODELS, RPNHead, "forward_single")
register_in_float32(MODELS, ConvFCBBoxHead)
register_in_float32(MODELS, FCNMaskHead)
