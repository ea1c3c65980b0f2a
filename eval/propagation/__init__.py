"""Label propagation with a frozen encoder: what the benchmarks of videos share."""
