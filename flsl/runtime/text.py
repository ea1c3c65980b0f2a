"""Text that others wrote, made fit for a terminal: names in files may hold what moves the cursor or turns text around."""

import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode categories: controls, directions, halves of characters, line ends


def printable(text: object) -> str:
    """Return text on one line with every control character, invisible mark and half character as its escape (`\\x1b`)."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) in INVISIBLE else character
        for character in text
    )


def number_of(digits: str) -> int | None:
    """Return the number that a few plain digits are; None for other text: `int` takes digits of all scripts, and fails on long ones."""
    return int(digits) if re.fullmatch("[0-9]{1,9}", digits) else None


def as_called(text: str) -> str:
    """Return text that names programs as `python -m ...`, with the console command in its place where that was called."""
    if Path(sys.argv[0]).stem != "flsl":
        return text
    return text.replace("python -m flsl", "flsl").replace("python -m ", "flsl ")


def shorten(names: Sequence[object], most: int = 8) -> str:
    """Return names one after the other, with dots in the place of those after the first `most`."""
    return ", ".join([*map(str, names[:most]), *["..."] * (len(names) > most)])


def clock(seconds: float) -> str:
    """Return a duration as hours:minutes:seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
