"""The first minutes with a checkpoint: three small frozen benchmarks on drawn data, beside encoders that learned nothing."""
