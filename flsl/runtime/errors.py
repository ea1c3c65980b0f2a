"""The one error type that reaches users, and the wrapper that prints it."""

import difflib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from flsl.runtime.preemption import PREEMPTED, Preempted
from flsl.runtime.text import as_called, printable

# What a disk, a network's file system or a full output says without naming a file.
FAILING = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EROFS}


class UserError(Exception):
    """Something the user can put right.

    The message names the file or key, says what was expected, and what to do. Command-line programs print it
    as one paragraph and exit with code 2.
    """


class SaidElsewhere(UserError):
    """The main process has said what is wrong; this one only ends."""


def unknown_key(what: str, key: str, known: Iterable[str], kind: str = "key") -> str:
    """Return the message for an unknown key or name, naming the nearest valid one; `what` begins the sentence."""
    known = sorted(k for k in known if not k.startswith("_"))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{what} is not a known {kind}.{hint} Valid: {', '.join(known) or 'none'}."


def require_between(least: int, most: int | None = None, **values: int) -> None:
    """Raise UserError for the first option that is out of bounds."""
    for name, value in values.items():
        if value < least or (most is not None and value > most):
            bound = f"at least {least}" if value < least else f"at most {most}"
            raise UserError(f"--{name.replace('_', '-')} is {value!s:.40}; it must be {bound}.")


def require_seed(seed: int) -> None:
    """Raise UserError where a random seed is none that every library takes."""
    if type(seed) is not int:
        raise UserError(f"--seed must be a whole number, but is {seed!r:.40}.")
    require_between(0, 2**31 - 1, seed=seed)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of Python, numpy or torch says that memory ran out, on whatever device."""
    told = str(error)
    return isinstance(error, MemoryError) or "out of memory" in told or "can't allocate memory" in told


@contextmanager
def explained_memory(explain: Callable[[str], str]) -> Iterator[None]:
    """Raise UserError in place of an error that says that memory ran out; `explain` makes its message of what was said."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(explain((str(error).strip().splitlines() or ["no memory left"])[0][:160])) from error


def run_command(main: Callable[[], int | None]) -> int:
    """Run a program's `main`; print a `UserError`, which file the system refuses, or which package is not installed,
    without a traceback.

    Returns the exit code: what `main` returned (None counts as 0), 2 after such an error, 75 after a signal to save and
    stop, 130 after a Ctrl-C that nothing is saved at.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal has no characters for is still a name
            stream.reconfigure(errors="backslashreplace")
    try:
        with explained_memory(lambda said: f"out of memory ({said}). Choose smaller sizes, or fewer at once."):
            code = main() or 0
        _flush()  # not at the end of the process, where no error is caught any more
        return code
    except SaidElsewhere:
        return 2
    except UserError as error:
        print(f"error: {printable(as_called(str(error)))}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        missing = f"the package {error.name!r} is not installed in {sys.executable}"
        remedy = "Run: make setup; outside the clone: pip install 'flsl-suite[detection,segmentation]'"
        print(f"error: {missing}. {remedy}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        _end_output()
        return 0
    except OSError as error:
        if error.filename is None and error.errno not in FAILING:  # nothing that a user could put right
            raise
        where = error.filename or "the output, or a file that is read or written"
        reason = f"{where}: {error.strerror}. Give another path, or make this one usable"
        print(f"error: {printable(reason)}.", file=sys.stderr)
        try:
            _flush()
        except OSError:
            _end_output()
        return 2
    except Preempted as stop:
        if str(stop):  # empty on all processes but the main one
            print(stop, file=sys.stderr)
        return PREEMPTED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _flush() -> None:
    if sys.stdout is not None:  # as where it was closed
        sys.stdout.flush()


def _end_output() -> None:
    """Let what is still to be printed vanish, where nobody takes it any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
