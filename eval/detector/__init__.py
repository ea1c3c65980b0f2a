"""Detectors (Mask R-CNN, Faster R-CNN) on any data set in COCO format, for `eval.finetune`; COCO and UAVDT share them.

`task.Detection` is what they share: a benchmark says its recipe and where each `Split(JSON, DIR)` of its data lies.

An annotation file's `file_name`s lie below its folder of images; annotations with `iscrowd` 1 are ignored regions
(`model.ignore_overlap` says from which overlap on candidates are ignored in training). Detections are COCO results:
image_id, category_id, bbox x y w h, score, and segmentation (RLE) from Mask R-CNN.
"""
