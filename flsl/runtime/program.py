"""A command-line program with sub-commands, each a module of its own."""

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module

from flsl.runtime.errors import run_command


def run_program(
    name: str, text: str | None, commands: Mapping[str, str], modules: str, argv: Sequence[str] | None
) -> int:
    """Parse the words after a program's name (None takes the process's own) and run one sub-command.

    Returns the exit code (`run_command`); the other arguments are those of `build_parser`.
    """
    arguments = build_parser(name, text, commands, modules).parse_args(argv)
    return run_command(lambda: arguments.run(arguments))


def build_parser(name: str, text: str | None, commands: Mapping[str, str], modules: str) -> argparse.ArgumentParser:
    """Return a program's command-line parser; `run` of what it parses is the sub-command's function.

    Args:
        name: of the program, as `python -m` takes it.
        text: its help.
        commands: sub-command -> one line of help.
        modules: where a sub-command's module is, with `{}` for its name. It has `add_arguments(parser)` and
            `run(arguments)`, its docstring is its help, and it imports nothing heavy, so that --help answers at once.
    """
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=text, formatter_class=layout)
    listed = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, line in commands.items():
        module = import_module(modules.format(command))
        own = listed.add_parser(command, help=line, description=module.__doc__, formatter_class=layout)
        module.add_arguments(own)
        own.set_defaults(run=module.run)
    return parser
