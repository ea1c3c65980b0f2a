"""Everything of ours that mmdet builds by name: importing this module registers it, after mmcv's operators."""

from mmengine.registry import init_default_scope

from eval.detector.operators import install_operators

install_operators()  # before anything imports mmcv.ops, which the modules below do

from eval.detector import backbone, dataset, heads, neck, optimizer, sampler  # noqa: E402, F401

init_default_scope("mmdet")
