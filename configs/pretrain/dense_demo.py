# Dense contrast on a few hundred drawn pictures, for `make demo`: dense_nano.py with more passes over fewer pictures. No published score.
# Cost: about a minute and a half on 2 CPU cores. Expected (one seed): on 16 drawn clips in changing light (`flsl quick`) J&F 74, untrained 60,
# the mean color and place of patches 52; better than both (+12.6 [4.8, 21.1] and +21.9 [13.7, 29.9]).
_base_ = ["dense_nano.py"]
name = "dense contrast demo"
training = dict(epochs=12)
probe = dict(epochs=6)
runtime = dict(workers=1, pictures_every=6)
