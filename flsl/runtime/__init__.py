"""What every program needs and no model is: recipes, devices, precision, ranks, files, errors, signals, Slurm.

Importing this package needs no torch; what needs torch imports it inside.
"""
