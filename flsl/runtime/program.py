"""A command-line program with sub-commands, each a module of its own."""

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from flsl.runtime.errors import run_command
from flsl.runtime.text import as_called


class HelpLayout(argparse.RawDescriptionHelpFormatter):
    """Keeps a docstring's lines, and names programs as they were called."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return super()._fill_text(as_called(text), width, indent)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return as_called(super()._get_help_string(action) or "")


class Parser(argparse.ArgumentParser):
    """Names the nearest option for one that it does not know, before that one's value is taken for something else.

    A path that is empty, as of a shell's variable that is not set, is refused: `Path` would take it for the current folder.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.register("type", Path, _path)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse as argparse does, but for a word of two dashes that begins no option: exit with code 2, naming it."""
        # Its type is wider than the overloads of argparse, which say the same of one method in three ways.
        words = list(sys.argv[1:] if args is None else args)
        options = [option for option in self._option_string_actions if option.startswith("--")]
        takes_all = any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in self._actions)
        for word in [] if takes_all else words[: words.index("--") if "--" in words else None]:
            name = word.split("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in options):
                near = difflib.get_close_matches(name, options, n=1, cutoff=0.75)
                self.error(f"unrecognized argument: {name}" + (f". Did you mean {near[0]}?" if near else ""))
        return super().parse_known_args(args, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Name the nearest word of those that may stand there, such as a sub-command."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            near = difflib.get_close_matches(str(value), [str(word) for word in action.choices or ()], n=1)
            error.message += f". Did you mean {near[0]}?" if near else ""
            raise


def _path(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty: is the variable set that it was to come from?")
    return Path(text)


def run_program(
    name: str, text: str | None, commands: Mapping[str, str], modules: str, argv: Sequence[str] | None
) -> int:
    """Parse the words after a program's name (None takes the process's own) and run one sub-command.

    Returns the exit code (`run_command`); the other arguments are those of `build_parser`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser(name, text, commands, modules, chosen=words[0] if words else "")
    if not words:
        parser.print_help(sys.stderr)
        return 2
    arguments = parser.parse_args(words)
    return run_command(lambda: arguments.run(arguments))


def build_parser(
    name: str, text: str | None, commands: Mapping[str, str], modules: str, *, chosen: str | None = None
) -> argparse.ArgumentParser:
    """Return a program's command-line parser; `run` of what it parses is the sub-command's function.

    Args:
        name: of the program, as `python -m` takes it.
        text: its help.
        commands: sub-command -> one line of help.
        modules: where a sub-command's module is, with `{}` for its name. It has `add_arguments(parser)` and
            `run(arguments)`, its docstring is its help, and it imports nothing heavy, so that --help answers at once.
        chosen: the sub-command that will be parsed, whose module alone is imported; None imports all.
    """
    parser = Parser(prog=as_called(f"python -m {name}"), description=text, formatter_class=HelpLayout)
    listed = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, line in commands.items():
        if chosen not in (None, command):
            listed.add_parser(command, help=line)
            continue
        module = import_module(modules.format(command))
        own = listed.add_parser(command, help=line, description=module.__doc__, formatter_class=HelpLayout)
        module.add_arguments(own)
        own.set_defaults(run=module.run)
    return parser
