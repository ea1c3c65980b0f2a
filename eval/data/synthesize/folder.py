"""A data folder that is either whole and marked, marked as unfinished, or not ours."""

import json
import shutil
import time
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from flsl.runtime.device import cores
from flsl.runtime.errors import UserError, require_seed
from flsl.runtime.files import write_text
from flsl.runtime.marker import MARKER, UNFINISHED, read_marker

DRAWING_VERSION = 2  # to be raised whenever the same seed no longer gives the same bytes
Item = TypeVar("Item")
Result = TypeVar("Result")


def generator(seed: int, *names: object) -> np.random.Generator:
    """Return the random generator of one item; items drawn in any order or thread come out the same."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


def draw_all(draw: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call `draw` on every item in threads (OpenCV releases the interpreter lock); results in the items' order."""
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(draw, items))


def fill_folder(
    root: Path,
    benchmark: str,
    seed: int,
    parameters: dict[str, Any],
    folders: Iterable[str],
    draw: Callable[[], dict[str, Any]],
    name: str | None = None,
) -> int:
    """Let `draw()` fill `root` with a data set, then write the marker file `dataset.json`.

    Args:
        root: a folder that is absent, empty, or a finished or interrupted synthesis of the same benchmark.
        benchmark: a key of `eval.data.synthesize.sizes.SIZES`.
        seed: the random seed, at least 0.
        parameters: everything else that decides the bytes.
        folders: the names in `root` that `draw` makes; they are deleted when a synthesis was interrupted.
        draw: draws the files and returns what the marker should tell besides (sequences, counts).
        name: of the data set in records; default synthetic-BENCHMARK.

    Returns:
        0, also where the finished data set was there already.

    Raises:
        UserError: `root` holds something else, another synthesis, or fewer files than it was left with.
    """
    require_seed(seed)
    head = {"name": name or f"synthetic-{benchmark}", "benchmark": benchmark, "seed": seed, "parameters": parameters}
    head["drawing_version"] = DRAWING_VERSION
    if root.is_file():
        raise UserError(f"{root} is a file; give a new or empty folder.")
    if (root / MARKER).is_file():
        _require_same(root, head)
        print(f"{root}: already complete ({count_files(root)} files, seed {seed}), nothing to draw")
        return 0
    if (root / UNFINISHED).is_file():
        print(f"{root}: an interrupted synthesis is drawn again from the start")
        for folder in folders:
            shutil.rmtree(root / folder, ignore_errors=True)
    elif root.is_dir() and any(root.iterdir()):
        raise UserError(
            f"{root} is not empty and holds no {MARKER}, so it is not synthetic data and is left alone. "
            "Give a new or empty folder."
        )
    start = time.perf_counter()
    write_json(root / UNFINISHED, head)
    try:
        told = draw()
    except OSError as error:
        raise UserError(f"cannot write {error.filename or root}: {error.strerror or error}.") from error
    files = count_files(root)
    write_json(root / MARKER, head | told | {"files": files})
    (root / UNFINISHED).unlink()
    print(f"{root}: {files} files drawn in {time.perf_counter() - start:.1f} s (seed {seed})")
    return 0


def _require_same(root: Path, head: dict[str, Any]) -> None:
    """Raise UserError unless `root` holds all files of a finished synthesis with the same parameters."""
    found = read_marker(root) or {}
    for key, wanted in head.items():
        if found.get(key) != wanted:
            raise UserError(
                f"{root} already holds {found['name']} data with {key} {found.get(key)!r}, but {wanted!r} was asked for. "
                "Delete the folder or give another one."
            )
    if (count := count_files(root)) != found.get("files"):
        raise UserError(
            f"{root} holds {count} files where its synthesis left {found.get('files')}. Delete the folder and draw it again."
        )


def count_files(root: Path) -> int:
    """Count the data files under `root`, without markers and hidden files."""
    own = {MARKER, UNFINISHED}
    return sum(path.is_file() and path.name not in own and path.name[0] != "." for path in root.rglob("*"))


def write_json(path: Path, content: object, indent: int | None = 2) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(content, indent=indent) + "\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; the marker, not each of thousands of files, makes a synthesis atomic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write a BGR picture."""
    write_bytes(path, cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a BGR picture without loss."""
    write_bytes(path, cv2.imencode(".png", image)[1].tobytes())
