"""A signal that asks to stop reaches who watches a part of a run, who watches the whole, and later parts."""

import os
import signal

import pytest

from flsl.runtime.preemption import SIGNALS, StopSignal


@pytest.fixture(autouse=True)
def in_the_foreground():
    """A shell lets what it starts in the background ignore Ctrl-C, these tests too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", [*SIGNALS, "SIGINT"])
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


def test_the_second_ctrl_c_interrupts_at_once(capfd):
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        assert "Ctrl-C again" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_job_in_the_background_goes_on_ignoring_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGINT)
        assert not stop.requested
