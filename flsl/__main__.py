"""Look into, convert, export and picture encoder checkpoints; start programs on several GPUs.

python -m flsl inspect CHECKPOINT [--json]
python -m flsl convert CHECKPOINT OUT.safetensors
python -m flsl export  CHECKPOINT --to timm|mmdet|hf|torch OUT
python -m flsl models  [NAME] [--download]
python -m flsl show    --checkpoint CHECKPOINT [--checkpoint ...] IMAGE [IMAGE ...] --out DIR
python -m flsl launch  N PROGRAM ...
python -m flsl gpucheck --out DIR

CHECKPOINT is a file or folder of any known layout, a name that `python -m flsl models` lists, timm:NAME[.TAG], or
random:ARCHITECTURE/PATCH or pixels/PATCH (color and place, no network).
"""

import sys

from flsl.runtime.program import run_program

COMMANDS = {
    "inspect": "say what a checkpoint holds and prove that it loads",
    "convert": "write any checkpoint as our own safetensors file",
    "export": "write an encoder for timm, mmdetection, Hugging Face or plain torch",
    "models": "list public checkpoints, where they are published and which are here",
    "show": "draw feature maps: principal components, mean-shift attention, clusters",
    "gpucheck": "prove that everything is right and fast on this machine's GPU",
    "launch": "run a program in several processes, one for each GPU",
}


def main(argv: list[str] | None = None) -> int:
    """Run one sub-command; returns its exit code."""
    return run_program("flsl", __doc__, COMMANDS, "flsl.commands.{}", argv)


if __name__ == "__main__":
    sys.exit(main())
