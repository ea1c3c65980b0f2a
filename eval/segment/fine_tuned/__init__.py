"""Fine-tuned segmentation: Semantic FPN and UPerNet of mmsegmentation on an encoder, by the training of `eval.finetune`."""
