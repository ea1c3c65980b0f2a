"""What hostile and clumsy inputs must meet: one error that names the file or key, exit code 2, and folders as they were."""

import importlib
import os
import stat
from pathlib import Path

import pytest


def listing(folder: Path) -> dict[str, tuple]:
    """Return everything below a folder: kind, size and time of the last change by path. Follows no links."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(root, name)
            status = path.lstat()
            is_file = stat.S_ISREG(status.st_mode)
            found[str(path)] = (
                stat.S_IFMT(status.st_mode),
                *((status.st_size, status.st_mtime_ns) if is_file else ()),
            )
    return found


@pytest.fixture
def refused(capsys, tmp_path):
    """Run a program's command line in this process and hold that it is refused in one paragraph, changing nothing.

    `refused("results", ["show", path], ["words", "of the message"])`; returns the message. Compared is what lies under
    `tmp_path`, and that no text of ours was executed: whatever runs would make the file `EXECUTED` there.
    """

    def check(program: str, arguments: list, words: list[str]) -> str:
        before = listing(tmp_path)
        code = importlib.import_module(f"{program}.__main__").main([str(argument) for argument in arguments])
        err = capsys.readouterr().err
        assert code == 2, err
        assert err.startswith("error: ")
        assert len(err.strip().split("\n")) == 1
        assert "Traceback" not in err
        assert err.rstrip("\n").isprintable()
        for word in words:
            assert word in err, err
        assert listing(tmp_path) == before
        assert not (tmp_path / "EXECUTED").exists()
        return err

    return check
