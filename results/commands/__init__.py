"""The sub-commands of `python -m results`, one a module: `add_arguments(parser)` and `run(arguments) -> exit code`."""
