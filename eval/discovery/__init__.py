"""Object discovery: one box an image from frozen features, and how often it is an object's (`python -m eval discovery --help`)."""
