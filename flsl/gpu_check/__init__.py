"""What `python -m flsl gpucheck` does: the parts, how they run, what is reported. Needs no package beside Python's own."""
