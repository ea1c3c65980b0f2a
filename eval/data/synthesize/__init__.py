"""Synthetic data in the layouts of ImageNet, DAVIS 2017, COCO 2017 and UAVDT, drawn by one renderer."""
