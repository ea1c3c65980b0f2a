"""The pretraining core: views and data, schedules, the training loop, distributed set-up."""
