"""A data folder that is either whole and marked, marked as unfinished, or not ours."""

import json
import shutil
import time
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np

from flsl.runtime.errors import UserError
from flsl.runtime.files import write_atomic
from flsl.runtime.marker import MARKER, UNFINISHED, read_marker

DRAWING_VERSION = 2  # to be raised whenever the same seed no longer gives the same bytes


def generator(seed: int, *names: object) -> np.random.Generator:
    """Return the random generator of one item; items drawn in any order or thread come out the same."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


def draw_all(draw: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Call `draw` on every item in threads (OpenCV releases the interpreter lock); results in the items' order."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(draw, items))


def require_at_least(least: int, **values: int) -> None:
    """Raise UserError for the first size option below `least`."""
    for name, value in values.items():
        if value < least:
            raise UserError(f"--{name.replace('_', '-')} is {value}; it must be at least {least}.")


def fill_folder(
    root: Path,
    benchmark: str,
    seed: int,
    parameters: dict[str, Any],
    layout: Iterable[str],
    write: Callable[[], dict],
    name: str | None = None,
) -> int:
    """Let `write()` draw a data set into `root`, then write the marker file `dataset.json`.

    Args:
        root: a folder that is absent, empty, or a finished or interrupted synthesis of the same benchmark.
        benchmark: images, davis, coco or uavdt.
        seed: the random seed, at least 0.
        parameters: everything else that decides the bytes.
        layout: the names in `root` that `write` makes; they are deleted when a synthesis was interrupted.
        write: draws the files and returns what the marker should tell besides (sequences, counts).
        name: of the data set in records; default synthetic-BENCHMARK.

    Returns:
        0, also where the finished data set was there already.

    Raises:
        UserError: `root` holds something else, another synthesis, or fewer files than it was left with.
    """
    require_at_least(0, seed=seed)
    head = {
        "name": name or f"synthetic-{benchmark}",
        "benchmark": benchmark,
        "seed": seed,
        "parameters": parameters,
        "drawing_version": DRAWING_VERSION,
    }
    if root.is_file():
        raise UserError(f"{root} is a file; give a new or empty folder.")
    marker, unfinished = root / MARKER, root / UNFINISHED
    if marker.is_file():
        return _reuse(root, head)
    if unfinished.is_file():
        print(f"{root}: an interrupted synthesis is drawn again from the start")
        for name in layout:
            shutil.rmtree(root / name, ignore_errors=True)
    elif root.is_dir() and any(root.iterdir()):
        raise UserError(
            f"{root} is not empty and holds no {MARKER}, so it is not synthetic data and is left alone. "
            "Give a new or empty folder."
        )
    start = time.perf_counter()
    write_json(unfinished, head)
    try:
        told = write()
    except OSError as error:
        raise UserError(f"cannot write {error.filename or root}: {error.strerror or error}.") from error
    write_json(marker, head | told | {"files": count_files(root)})
    unfinished.unlink()
    print(f"{root}: {count_files(root)} files drawn in {time.perf_counter() - start:.1f} s (seed {seed})")
    return 0


def write_json(path: Path, content: object, indent: int | None = 2) -> None:
    """Write JSON atomically."""
    text = json.dumps(content, indent=indent)
    write_atomic(path, lambda temporary: temporary.write_text(text + "\n"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write encoded bytes; the marker, not each of thousands of files, makes a synthesis atomic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _reuse(root: Path, head: dict[str, Any]) -> int:
    """Accept a finished synthesis with the same parameters, or say why not."""
    found = read_marker(root)
    assert found is not None  # the caller has seen the marker
    for key, wanted in head.items():
        if found.get(key) != wanted:
            raise UserError(
                f"{root} already holds {found['name']} data with {key} {found.get(key)!r}, but {wanted!r} was asked for. "
                "Delete the folder or give another one."
            )
    count = count_files(root)
    if count != found.get("files"):
        raise UserError(
            f"{root} holds {count} files where its synthesis left {found.get('files')}. Delete the folder and draw it again."
        )
    print(f"{root}: already complete ({count} files, seed {head['seed']}), nothing to draw")
    return 0


def count_files(root: Path) -> int:
    """Count the data files under `root`, without markers and hidden files."""
    own = {MARKER, UNFINISHED}
    return sum(path.is_file() and path.name not in own and path.name[0] != "." for path in root.rglob("*"))
