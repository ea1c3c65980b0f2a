"""Run several commands of `python -m pretrain bench` in one process, one after the other: a process may take ten seconds to start.

python -m pretrain.bench_series FILE -- CONFIG ... -- CONFIG ...

FILE gets the rows of all of them, each as soon as it is measured. One that fails ends none of the others, Ctrl-C all; the exit
code is the largest of theirs.
"""

import sys
import traceback
from itertools import groupby
from pathlib import Path

INTERRUPTED = 130  # exit code of a command that Ctrl-C ended


def main(words: list[str]) -> int:
    """Run them; returns the exit code."""
    from pretrain.__main__ import main as pretrain

    file, *words = words
    Path(file).unlink(missing_ok=True)
    codes = [0]
    for command in [list(group) for is_one, group in groupby(words, lambda word: word != "--") if is_one]:
        print(f"\n$ bench {' '.join(command)}", flush=True)
        try:
            codes.append(pretrain(["bench", *command, "--json", file, "--append"]))
        except Exception:  # of one command; the others are told apart by their rows
            traceback.print_exc()
            codes.append(1)
        if codes[-1] == INTERRUPTED:
            break
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
