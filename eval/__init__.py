"""Evaluation adapters: one folder a benchmark, each run ends in one result record."""
