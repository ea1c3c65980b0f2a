"""Everything of ours that mmsegmentation builds by name: importing this module registers it, after mmcv's operators.

Heads are mmsegmentation's, with logits in float32 whatever precision they are computed in: bfloat16 makes scores tie.
"""

from eval.finetune.operators import install_operators

install_operators()  # before anything imports mmcv.ops, which the modules below do

from mmseg.datasets import transforms  # noqa: E402, F401
from mmseg.models import FCNHead, FPNHead, UPerHead, necks, segmentors  # noqa: E402, F401
from mmseg.registry import MODELS  # noqa: E402

from eval.finetune.components import register_in_float32  # noqa: E402
from eval.segment.fine_tuned import dataset  # noqa: E402, F401

for head in (FCNHead, FPNHead, UPerHead):
    register_in_float32(MODELS, head, "cls_seg")
