"""A signal that asks to stop reaches who watches a part of a run, who watches the whole, and later parts."""

import os
import signal

import pytest

from flsl.runtime.preemption import SIGNALS, StopSignal


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_during_a_part_stops_the_whole(name):
    before = signal.getsignal(getattr(signal, name))
    with StopSignal() as whole:
        with StopSignal() as part:
            assert not part.requested
            os.kill(os.getpid(), getattr(signal, name))
            assert part.requested
        with StopSignal() as later:
            assert later.requested
        assert whole.requested
    assert signal.getsignal(getattr(signal, name)) is before
