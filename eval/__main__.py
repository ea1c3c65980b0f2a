"""Evaluate a checkpoint on a benchmark, or make and check benchmark data.

python -m eval BENCHMARK --checkpoint CHECKPOINT --data DIR --out DIR [--config CONFIG] [--set key=value ...]
python -m eval quick CHECKPOINT [--out DIR]
python -m eval data synthesize|verify|prepare BENCHMARK DIR [...]
"""

import sys

from flsl.runtime.program import run_program
from results.benchmarks import BENCHMARKS

COMMANDS = {benchmark.command: benchmark.summary for benchmark in BENCHMARKS.values()}
COMMANDS["quick"] = "three frozen benchmarks in minutes, beside encoders that learned nothing; no data needed"
COMMANDS["data"] = "make synthetic benchmark data, or check a real copy"


def main(argv: list[str] | None = None) -> int:
    """Run one sub-command; returns its exit code."""
    return run_program("eval", __doc__, COMMANDS, "eval.{}.command", argv)


if __name__ == "__main__":
    sys.exit(main())
