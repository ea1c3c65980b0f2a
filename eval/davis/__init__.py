"""DAVIS 2017 semi-supervised video object segmentation by label propagation with a frozen encoder."""
