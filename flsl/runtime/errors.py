"""The one error type that reaches users, and the wrapper that prints it."""

import difflib
import sys
from collections.abc import Callable, Iterable

from flsl.runtime.preemption import PREEMPTED, Preempted


class UserError(Exception):
    """Something the user can put right.

    The message names the file or key, says what was expected, and what to do. Command-line programs print it
    as one paragraph and exit with code 2.
    """


class SaidElsewhere(UserError):
    """The main process has said what is wrong; this one only ends."""


def unknown_key(what: str, key: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key or name, naming the nearest valid one."""
    known = sorted(k for k in known if not k.startswith("_"))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{what} is not a known key.{hint} Valid keys: {', '.join(known)}."


def run_command(main: Callable[[], int | None], *also: type[Exception]) -> int:
    """Run a program's `main`; print a `UserError` (or one of the types in `also`) without a traceback.

    Returns the exit code: what `main` returned (None counts as 0), 2 after such an error, 75 after a signal to save and
    stop, 130 after Ctrl-C.
    """
    try:
        return main() or 0
    except SaidElsewhere:
        return 2
    except (UserError, *also) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Preempted as stop:
        print(stop, file=sys.stderr)
        return PREEMPTED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
