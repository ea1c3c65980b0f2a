"""Start several processes of one program on this machine, hand signals on to all, and return their exit code.

torchrun forwards SIGTERM alone, gives processes 30 seconds to save, and ends with its own exit code whatever theirs was.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence

from flsl.runtime.errors import UserError
from flsl.runtime.preemption import GRACE, PREEMPTED, SIGNALS

FORWARDED = (*SIGNALS, "SIGINT", "SIGHUP")
EXPLAINED = (2, PREEMPTED, 130)  # a program has said why it ends so; what else its ranks end with follows from that
POLL = 0.1  # seconds


def launch(count: int, words: Sequence[str]) -> int:
    """Run `python -m WORDS` as ranks 0 to `count` - 1; returns their exit code, 128 + N where signal N ended one.

    Where a rank fails, the others, which might wait for it forever, have `GRACE` seconds to end.

    Raises:
        UserError: no process is asked for.
    """
    if count < 1:
        raise UserError(f"{count} processes cannot be started: expected 1 or more")
    asked: deque[int] = deque()
    numbers = [getattr(signal, name) for name in FORWARDED]
    before = {number: signal.signal(number, lambda n, _: asked.append(n)) for number in numbers}
    workers: list[subprocess.Popen] = []
    try:
        port = _free_port()
        for rank in range(count):
            workers.append(_start(rank, count, port, words))
        return _wait(workers, asked)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(rank: int, count: int, port: int, words: Sequence[str]) -> subprocess.Popen:
    environment = {"OMP_NUM_THREADS": "1"} if count > 1 else {}  # several processes share the cores
    environment |= os.environ
    environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    environment |= {"LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    # In a session of its own, so that a Ctrl-C comes once: from here.
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)


def _wait(workers: list[subprocess.Popen], asked: deque[int]) -> int:
    """Wait for all, handing on the signals that come; returns the exit code."""
    codes: list[int] = []  # of failures, in the order of their coming
    end = float("inf")
    left = list(enumerate(workers))
    while left:
        time.sleep(POLL)
        while asked:
            number = asked.popleft()
            for _, worker in left:
                worker.send_signal(number)
        for rank, worker in list(left):
            code = worker.poll()
            if code is None:
                continue
            left.remove((rank, worker))
            if code and time.monotonic() < end:
                codes.append(code if code > 0 else 128 - code)
                end = min(end, time.monotonic() + GRACE)
                if codes[0] not in EXPLAINED and len(codes) == 1:
                    print(f"error: process {rank} of {len(workers)} ended with exit code {codes[0]}", file=sys.stderr)
        if time.monotonic() >= end:
            for _, worker in left:
                worker.kill()
    return next((code for code in EXPLAINED if code in codes), codes[0] if codes else 0)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
