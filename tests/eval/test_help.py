"""`python -m eval COMMAND --help` loads nothing slow."""

import pytest
from support.help_text import help_of

from eval.__main__ import COMMANDS, main


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_fast_and_starts_with_the_command(command):
    assert f"python -m eval {command}".strip() in help_of("eval", *command.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("segment --protcol linear-leopart", "unrecognized argument: --protcol. Did you mean --protocol?"),
        (
            "davis --checkpiont=random:vit_nano/16 --data x",
            "unrecognized argument: --checkpiont. Did you mean --checkpoint?",
        ),
        ("data synthesize davis x --sequencs 3", "unrecognized argument: --sequencs. Did you mean --sequences?"),
        ("knn --launcher slurm", "unrecognized argument: --launcher\n"),
    ],
)
def test_a_misspelt_option_is_named_with_the_nearest(words, told, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    assert stop.value.code == 2
    assert told in capsys.readouterr().err
