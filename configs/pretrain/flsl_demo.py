# FLSL on a few hundred drawn pictures, for `make demo-full`: flsl_nano.py with more passes. No published score.
# Cost: about a minute and a half on 2 CPU cores. Expected: the loss falls from the first epoch on; label propagation on drawn
# clips is better than the mean color and place of patches (+6.5 J&F [3.3, 10.3] on 16 clips, one seed); than the untrained network
# is not shown (+1.9 [-0.4, 4.5]).
_base_ = ["flsl_nano.py"]
name = "FLSL demo"
training = dict(epochs=10)
probe = dict(epochs=5)
runtime = dict(workers=1, pictures_every=5)
