"""Names that data files give: checked here before they become a path, so that none leads out of its folder."""

import os
import re
from collections.abc import Iterable
from typing import Any

from flsl.runtime.errors import UserError

LONGEST = 255  # bytes of a file's or folder's name, as file systems have it


def safe_name(name: Any, what: str, listed_in: object, *, folders: bool = False) -> str:
    """Return a name that a data file gave, if it can only mean something inside the folder that it will be looked for in.

    Links are followed all the same: a data set may lie on several disks.

    Args:
        name: as it was read.
        what: it is the name of, for the message: "a sequence", "an image".
        listed_in: the file, and where in it.
        folders: it may lead into folders, as in `train/0001.jpg`.

    Raises:
        UserError: it is no text, empty, absolute, leads upwards, or holds what no file system can store.
    """
    if why := _fault(name, folders):
        shown = ascii(name) if len(ascii(name)) < 80 else ascii(name)[:77] + "..."
        raise UserError(
            f"{listed_in}: {shown} cannot be the name of {what}: {why}. Expected is a name inside the data folder"
            f"{', such as folder/name' if folders else ', without folders'}. Correct the file, or get it again."
        )
    return name


def require_text(names: Iterable[str], folder: object) -> None:
    """Raise UserError for the first name of a file that UTF-8 cannot express: a record could not be written in the end."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"{folder}: the name {name!a} is not in UTF-8, as the records are that will hold it. Rename it."
            ) from None


def _fault(name: Any, folders: bool) -> str | None:
    if not isinstance(name, str):
        return "it is no text"
    parts = re.split(r"[/\\]", name)
    if not name or not all(parts):
        return "it is absolute" if name[:1] in ("/", "\\") else "a part of it is empty"
    if re.match(r"[A-Za-z]:", name):
        return "it is absolute"
    if any(part in (".", "..") for part in parts):
        return "it leads to another folder"
    if len(parts) > 1 and not folders:
        return "it names a folder"
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        return "it holds control characters"
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError:
        return "it holds characters that no file's name can"
    return f"it is longer than {LONGEST} bytes" if longest > LONGEST else None
