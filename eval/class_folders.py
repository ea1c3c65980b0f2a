"""Pictures whose classes are the folders that they lie in (ImageFolder layout)."""

from pathlib import Path

from flsl.runtime.errors import UserError
from flsl.runtime.files import IMAGES, list_files


def read_class_folders(folder: Path, instead: str = "") -> list[tuple[str, Path]]:
    """Return class and path of every picture below `folder`, sorted by path; `instead` says what else might have been there.

    Raises:
        UserError: a picture lies in no folder of a class, or `folder` cannot be read.
    """
    paths = list_files(folder, IMAGES)
    if stray := next((path for path in paths if path.parent == folder), None):
        raise UserError(
            f"{stray} lies in no folder of a class, so that its class is not known. Expected {folder}/CLASS/{stray.name}{instead}."
        )
    return [(path.relative_to(folder).parts[0], path) for path in paths]
