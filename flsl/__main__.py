"""The suite's one command: pretrain, evaluate, look at results; look into, convert, export and picture checkpoints.

python -m flsl pretrain CONFIG --data DIR --out DIR
python -m flsl eval     BENCHMARK --checkpoint CHECKPOINT --data DIR --out DIR
python -m flsl results  leaderboard --records DIR
python -m flsl quick   CHECKPOINT [--out DIR]
python -m flsl inspect CHECKPOINT [--json]
python -m flsl convert CHECKPOINT OUT.safetensors
python -m flsl export  CHECKPOINT --to timm|mmdet|hf|torch OUT
python -m flsl models  [NAME] [--download]
python -m flsl push    CHECKPOINT ORG/NAME [--records DIR] [--dry-run DIR]
python -m flsl show    --checkpoint CHECKPOINT [--checkpoint ...] IMAGE [IMAGE ...] --out DIR
python -m flsl launch  N PROGRAM ...
python -m flsl gpucheck --out DIR

CHECKPOINT is a file or folder of any known layout, a name that `python -m flsl models` lists, hf:ORG/NAME, timm:NAME[.TAG],
random:ARCHITECTURE/PATCH or pixels/PATCH (color and place, no network). `COMMAND --help` says more of each. An installed
suite has all this as the console command `flsl`, too.
"""

import sys
from importlib import import_module

from flsl.runtime.program import run_program

# Programs of their own: a module with `main(words)`, and a line of help. They stand above this library and are found by
# name.
PROGRAMS = {
    "pretrain": ("pretrain.__main__", "pretrain an encoder from a folder of pictures"),
    "eval": ("eval.__main__", "evaluate a checkpoint on a benchmark, make and check benchmark data"),
    "results": ("results.__main__", "turn records into tables, a leaderboard, comparisons, studies and reports"),
    "quick": (
        "eval.quick.command",
        "is a checkpoint better than none? three small benchmarks in minutes, no data needed",
    ),
}
COMMANDS = {
    "inspect": "say what a checkpoint holds and prove that it loads",
    "convert": "write any checkpoint as our own safetensors file",
    "export": "write an encoder for timm, mmdetection, Hugging Face or plain torch",
    "models": "list public checkpoints, where they are published and which are here",
    "push": "publish an encoder, its card and its records on the Hugging Face Hub",
    "show": "draw feature maps: principal components, mean-shift attention, clusters",
    "gpucheck": "prove that everything is right and fast on this machine's GPU",
    "launch": "run a program in several processes, one for each GPU",
}


def main(argv: list[str] | None = None) -> int:
    """Run one program or sub-command; returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in PROGRAMS:
        if argv is None:
            sys.argv = [sys.argv[0], *words[1:]]  # what the program notes in a record as its own words
        return import_module(PROGRAMS[words[0]][0]).main(words[1:])
    listed = {name: line for name, (_, line) in PROGRAMS.items()} | COMMANDS
    return run_program("flsl", __doc__, listed, "flsl.commands.{}", argv)


if __name__ == "__main__":
    sys.exit(main())
