"""What is written stays apart from what is read: no output among data, none in the place of an input."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from flsl.runtime.errors import UserError


def require_apart(
    out: str | Path,
    data: Mapping[str, str | Path | None],
    others: Mapping[str, str | Path | None] | None = None,
    *,
    option: str = "--out",
) -> None:
    """Raise UserError where what is written would lie among data, or take the place of what is read.

    A folder that holds data beside what is written is allowed, such as runs/ with runs/data/ and runs/davis/.

    Args:
        out: the folder or file to write.
        data: folders that are read whole, each by words for what is in it ("the files of --data"): `out` may neither be one of
            them nor lie inside.
        others: files and folders of which `out` may only not be one, such as a checkpoint.
        option: what names `out`.
    """
    for name, path in data.items():
        if path is not None and is_within(out, path):
            raise UserError(
                f"{option} {out} lies among {name} {path}: what is written would mix with what is read, or replace it. Choose "
                "a place beside that folder."
            )
    for name, path in (others or {}).items():
        if path is not None and is_within(out, path) and is_within(path, out):
            raise UserError(f"{option} {out} is {name} {path}, which is read here. Choose another place to write to.")


def require_kept(
    out: Path, names: Iterable[str], inputs: Mapping[str, str | Path | None], *, option: str = "--out"
) -> None:
    """Raise UserError where an input is, or lies in, one of the files or folders `names` that are made or moved away in `out`."""
    for name in names:
        for what, path in inputs.items():
            if path is not None and is_within(path, out / name):
                raise UserError(
                    f"{what} {path} is read here, but {name} in {option} {out} is what this run makes, or starts over. Choose "
                    f"another {option}."
                )


def is_within(path: str | Path, folder: str | Path) -> bool:
    """Tell whether a path is a folder (or file) or lies inside, whatever links lead there."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
