"""Benchmark data: draw it where the real one is absent, check it where it is present."""
