"""`python -m eval COMMAND --help` loads nothing slow."""

import pytest
from support.help_text import help_of

from eval.__main__ import COMMANDS


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_fast_and_starts_with_the_command(command):
    assert f"python -m eval {command}".strip() in help_of("eval", *command.split())
