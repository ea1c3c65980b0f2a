"""The sub-commands of `python -m flsl`, one file each."""
