"""The one error type that reaches users, and the wrapper that prints it."""

import sys
from collections.abc import Callable

from flsl.preemption import PREEMPTED, Preempted


class UserError(Exception):
    """Something the user can put right.

    The message names the file or key, says what was expected, and what to do. Command-line programs print it
    as one paragraph and exit with code 2.
    """


def run_command(main: Callable[[], int | None], *also: type[Exception]) -> int:
    """Run a program's `main`; print a `UserError` (or one of the types in `also`) without a traceback.

    Returns the exit code: what `main` returned (None counts as 0), 2 after such an error, 75 after a signal to save and
    stop, 130 after Ctrl-C.
    """
    try:
        return main() or 0
    except (UserError, *also) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Preempted as stop:
        print(stop, file=sys.stderr)
        return PREEMPTED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
