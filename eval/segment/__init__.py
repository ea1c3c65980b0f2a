"""Semantic segmentation: frozen features by several protocols, and fine-tuning."""
