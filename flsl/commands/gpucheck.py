"""Prove that everything is right and fast on this machine's GPU: one command, one report, no network, no data.

python -m flsl gpucheck --out DIR [--minutes 11] [--only NAME ...] [--device cuda] [--wheels DIR]
python -m flsl gpucheck --show DIR/gpu-check.json

Parts run one after the other, what is right before how fast it is, each in its own time limit. DIR/gpu-check.json has what was
found as soon as it is known, DIR/gpu-check.log what the commands printed; a table ends the run. Parts whose packages are
absent, or that need a GPU where there is none, are named as not checked. docs/gpu.md says how to read the report.
Exit codes: 0 nothing that was checked failed, 1 a check failed or ran out of time, 2 an error that is explained.
"""

import argparse
import contextlib
import tempfile
import time
from pathlib import Path

SHORTEST = 0.1  # minutes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--out", type=Path, metavar="DIR", help="folder for report and log; those in it are replaced")
    wanted.add_argument("--show", type=Path, metavar="FILE", help="print the table of a report that is there")
    parser.add_argument("--minutes", type=float, default=11.0, help="for all of it, wheels too (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these parts")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="use packages from these wheels (make gpu-wheels)")


def run(arguments: argparse.Namespace) -> int:
    """Check; returns the exit code."""
    begin = time.monotonic()  # torch and wheels may take half a minute
    from flsl.gpu_check.parts import all_parts
    from flsl.gpu_check.report import FAILED, read_report, table
    from flsl.gpu_check.run import check, install_wheels
    from flsl.runtime.device import choose_device, cores
    from flsl.runtime.errors import UserError, unknown_key

    if arguments.show:
        print(table(read_report(arguments.show)))
        return 0
    if not arguments.minutes >= SHORTEST:
        raise UserError(f"--minutes is {arguments.minutes:g}; it must be at least {SHORTEST:g}")
    device = choose_device(arguments.device)
    parts = all_parts(str(device), cores())
    names = [part.name for part in parts]
    for name in arguments.only or ():
        if name not in names:
            raise UserError(unknown_key(f"--only {name}", name, names, "part"))
    chosen = [part for part in parts if part.name in (arguments.only or names)]
    with contextlib.ExitStack() as stack:
        path = []
        if arguments.wheels:
            path.append(stack.enter_context(tempfile.TemporaryDirectory(prefix="flsl-wheels-")))
            install_wheels(arguments.wheels, Path(path[0]))
        report = check(chosen, arguments.out, device=str(device), minutes=arguments.minutes, path=path, begin=begin)
    return 1 if report.status == FAILED else 0
