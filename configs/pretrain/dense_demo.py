# Dense contrast on a few hundred drawn pictures, for `make demo`: dense_nano.py with more passes over fewer pictures. No published score.
# Cost: about a minute and a half on 2 CPU cores.
_base_ = ["dense_nano.py"]
name = "dense contrast demo"
training = dict(epochs=8)
probe = dict(epochs=4)
runtime = dict(workers=1, pictures_every=4)
