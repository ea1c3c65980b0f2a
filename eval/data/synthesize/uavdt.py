"""Clips in the UAVDT layout, with names from the official train and test lists."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eval.data.synthesize.folder import draw_all, generator, write_bytes, write_jpeg
from eval.data.synthesize.traffic import Traffic
from eval.uavdt.files import ignore_path, whole_path
from eval.uavdt.layout import FRAMES, TRUTH
from eval.uavdt.sequences import official_sequences

FOLDERS = (FRAMES, TRUTH.split("/")[0])


def draw(
    root: Path,
    seed: int,
    *,
    sequences: int,
    train_sequences: int,
    frames: int,
    height: int,
    width: int,
    car: int,
    plain: bool,
) -> dict[str, Any]:
    """Draw the first clips of both official lists."""
    counts = {"train": train_sequences, "test": sequences}
    splits = {
        split: [sequence.name for sequence in official_sequences().values() if sequence.split == split][:count]
        for split, count in counts.items()
    }

    def draw_one(item: tuple[str, int]) -> None:
        name, index = item
        # Every other clip is at night (unless all are plain), and the third of the train list begins with an empty road.
        rng = generator(seed, "uavdt", name)
        night = index % 2 == 1 and not plain
        traffic = Traffic(rng, height, width, frames, car / 100, night=night, quiet=name == "M0202", bridges=not plain)
        rows, ignored = [], []
        for number in range(1, frames + 1):
            frame = traffic.frame(number)
            write_jpeg(frame_path(root, name, number), frame.image)
            rows += frame.rows
            ignored += frame.ignored
        write_truth(root, name, rows, ignored)

    draw_all(draw_one, [(name, index) for names in splits.values() for index, name in enumerate(names)])
    return {"sequences": splits}


def frame_path(root: Path, name: str, number: int) -> Path:
    """Return the path of a frame; frames count from 1."""
    return root / FRAMES / name / f"img{number:06d}.jpg"


def write_truth(root: Path, name: str, rows: Iterable[tuple[int, ...]], ignored: Iterable[tuple[int, ...]]) -> None:
    """Write a sequence's two ground-truth files; like the official ones, sorted by track, then by frame."""
    folder = root / TRUTH
    for path, listed in ((whole_path(folder, name), rows), (ignore_path(folder, name), ignored)):
        ordered = sorted(listed, key=lambda row: (row[1], row[0]))
        write_bytes(path, "".join(",".join(map(str, row)) + "\n" for row in ordered).encode())
