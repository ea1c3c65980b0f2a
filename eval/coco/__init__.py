"""COCO-format detection and instance segmentation: fine-tune, detect, score."""
