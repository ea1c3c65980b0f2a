# FLSL on a few hundred drawn pictures, for `make demo-full`: flsl_nano.py with more passes. No published score.
# Cost: about a minute and a half on 2 CPU cores. Expected: the loss falls from the first epoch on; label propagation on drawn
# clips in changing light (`flsl quick`) is better than the mean color and place of patches (+8.0 J&F [3.6, 12.7] on 16 clips, one seed), and
# no different from the untrained network (-1.3 [-6.8, 3.8]).
_base_ = ["flsl_nano.py"]
name = "FLSL demo"
training = dict(epochs=10)
probe = dict(epochs=5)
runtime = dict(workers=1, pictures_every=5)
