"""Turn result records into tables, a leaderboard and a reproduction report.

python -m results leaderboard --records DIR [--out results/leaderboard.csv]
python -m results table TABLE|all --records DIR [--format md|csv|tex|html]
python -m results list|validate --records DIR
python -m results show RECORD
python -m results compare A B [C ...]
python -m results sensitivity --records DIR
python -m results published
python -m results bundle --records DIR --out ZIP
python -m results import SOURCE --store DIR
python -m results reproduce TABLE|all --checkpoint CHECKPOINT --data DIR
python -m results study STUDY --data DIR --out DIR [--plan]
python -m results doctor
"""

import sys

from flsl.runtime.program import run_program

COMMANDS = {
    "leaderboard": "rank all complete records: CSV, self-contained HTML page, terminal table",
    "table": "write the paper's tables with our rows beside the published ones: md, csv, tex, html",
    "published": "check and print the published figures",
    "list": "list records",
    "show": "show one record in full",
    "compare": "tell whether one model is better than another: paired bootstrap",
    "sensitivity": "tell how far the ranking of checkpoints depends on the protocol: Kendall's tau",
    "validate": "check every record under a folder",
    "bundle": "pack records and reports into one archive",
    "import": "put records from a bundle or a folder into a store",
    "reproduce": "check published claims on a checkpoint: run what is missing, write a report",
    "study": "compare pretraining methods with equal care: run what is missing, say what it shows",
    "doctor": "tell what this machine can run, and how to repair what it cannot",
    "schema": "export the JSON Schema of a record",
}


def main(argv: list[str] | None = None) -> int:
    """Run one sub-command; returns its exit code."""
    return run_program("results", __doc__, COMMANDS, "results.commands.{}", argv)


if __name__ == "__main__":
    sys.exit(main())
