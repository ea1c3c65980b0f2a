"""DAVIS 2017 and 2016: semi-supervised video object segmentation by label propagation with a frozen encoder."""
