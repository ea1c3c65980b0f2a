"""A detector's training that ends like a process whose machine fails: `killed_detector.py AFTER ENCODER DATA OUT SET...`"""

import os
import signal
import sys
from pathlib import Path

from mmengine.hooks import Hook

from eval.coco.run import FineTuning, Options
from eval.finetune.train import train

SMOKE = Path(__file__).resolve().parents[2] / "configs" / "coco" / "mask-rcnn_smoke.py"
TINY = (
    "training.iterations=2",
    "training.batch=2",
    "model.fpn_channels=16",
    "model.fc_channels=16",
    "model.mask_channels=16",
    "model.mask_convs=1",
    "model.test_proposals=(50, 20)",
    "images.train_short_sides=(96,)",
    "images.test_short_side=96",
    "images.longest_side=128",
)


class Send(Hook):
    """Sends this process a signal after some iteration."""

    def __init__(self, number: int, after: int):
        """Send `number` when `after` iterations are done, before anything else of that iteration is."""
        self.number, self.after = number, after

    def after_train_iter(self, runner, *args, **kwargs):
        """Send it, if it is time."""
        if runner.iter + 1 == self.after:
            os.kill(os.getpid(), self.number)


if __name__ == "__main__":
    after, encoder, data, out, *overrides = sys.argv[1:]
    task = FineTuning(Path(data), Path(out), Options(str(SMOKE), tuple(overrides)))
    train(task, encoder, hooks=[Send(signal.SIGKILL, int(after))])
