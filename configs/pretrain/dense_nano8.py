# dense_nano.py with patches of 8, smaller views, a third of its color jitter and 12 epochs: the best features here that a laptop makes in
# an hour. No published score. Cost: 35 minutes on one CPU core with bfloat16 units, two to three times that without.
# Expected (one seed, results/studies/patch8): CamVid val, in-context-hbird_102k, mIoU 44.8 (untrained 25.6, pixels/8 31.5); label propagation
# on 10 clips of DAVIS 2016 train, J&F 72.5 (60.4, 69.3). Color jitter and rate were chosen on 6 other clips.
_base_ = ["dense_nano.py"]
encoder = dict(patch_size=8, image_size=96)
views = dict(global_size=96, local_size=64, strength=0.3)
optimizer = dict(lr=4.8e-2)
training = dict(epochs=12)
probe = dict(epochs=2)
