# FLSL on a few hundred drawn pictures, for `make demo`: flsl_nano.py with more passes. No published score.
# Cost: about a minute and a half on 2 CPU cores. Expected: the loss falls from the first epoch on; label propagation on drawn
# clips is better than the mean color and place of patches, and a little above the untrained network.
_base_ = ["flsl_nano.py"]
name = "FLSL demo"
training = dict(epochs=10)
probe = dict(epochs=5)
runtime = dict(workers=1, pictures_every=5)
