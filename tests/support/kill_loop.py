"""Trainings killed at random moments, each gone on with until it is done, many of them in one process of few imports.

    kill_loop.py KILLS ROOT pretrain CONFIG DATA [SET...]
    kill_loop.py KILLS ROOT detector ENCODER DATA [SET...]

ROOT/whole is the uninterrupted run; ROOT/0, ROOT/1, ... were killed KILLS times altogether, and all are finished.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path


def prepare(kind, first, data, overrides):
    """A function of a run's folder that trains; what is slow to import is imported here."""
    if kind == "pretrain":
        import pretrain.run  # noqa: F401
        from pretrain import train

        return lambda out: train(first, data, out, overrides=overrides, device="cpu")

    from support.killed_detector import SMOKE

    from eval.coco.run import FineTuning, Options
    from eval.finetune.train import train

    options = Options(str(SMOKE), tuple(overrides))
    return lambda out: train(FineTuning(data, out, options), first)


def attempt(train, out, seconds):
    """Train in a process of its own, killed after so many seconds; tell whether it finished before."""
    child = os.fork()
    if not child:
        code = 1
        try:
            train(out)
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    end = time.monotonic() + seconds
    ended, status = 0, 0
    while not ended and time.monotonic() < end:
        time.sleep(0.005)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, -signal.SIGKILL):
        sys.exit(f"the training in {out} ended with exit code {code}")
    return code == 0


def finish(train, out):
    """Train to the end."""
    begin = time.monotonic()
    attempt(train, out, float("inf"))
    return time.monotonic() - begin


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    kills, root, kind, first, data, *overrides = sys.argv[1:]
    train = prepare(kind, first, Path(data), overrides)
    longest = finish(train, Path(root, "whole"))
    moments, killed, number = random.Random(0), 0, 0
    while killed < int(kills):
        out = Path(root, str(number))
        if attempt(train, out, moments.uniform(0.1, 0.9) * longest):
            number += 1
        else:
            killed += 1
    finish(train, Path(root, str(number)))
