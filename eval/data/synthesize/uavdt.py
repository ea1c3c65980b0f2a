"""Clips in the UAVDT layout, with names from the official train and test lists."""

from collections.abc import Iterable
from pathlib import Path

from eval.data.synthesize.canvas import encode_jpeg
from eval.data.synthesize.folder import draw_all, fill_folder, generator, require_at_least, write_bytes
from eval.data.synthesize.road import draw_traffic
from eval.uavdt.files import ignore_path, whole_path
from eval.uavdt.layout import FRAMES, TRUTH
from eval.uavdt.sequences import official_sequences
from flsl.runtime.errors import UserError

LAYOUT = (FRAMES, TRUTH.split("/")[0])  # the folders in a copy's root


def synthesize(
    root: Path, seed: int, *, sequences: int, train_sequences: int, frames: int, height: int, width: int
) -> int:
    """Draw clips into `root`; returns 0. Raises UserError (`fill_folder`)."""
    require_at_least(1, sequences=sequences)
    require_at_least(0, train_sequences=train_sequences)
    require_at_least(2, frames=frames)
    require_at_least(64, height=height, width=width)
    splits = {"train": _names("train", train_sequences), "test": _names("test", sequences)}

    def draw(item: tuple[str, int]) -> None:
        name, index = item
        # Every other clip is at night, and the third of the train list begins with an empty road.
        rng = generator(seed, "uavdt", name)
        traffic = draw_traffic(rng, height, width, frames, night=index % 2 == 1, quiet=name == "M0202")
        rows, ignored = [], []
        for number in range(1, frames + 1):
            frame = traffic.frame(number)
            write_bytes(frame_path(root, name, number), encode_jpeg(frame.image))
            rows += frame.rows
            ignored += frame.ignored
        write_truth(root, name, rows, ignored)

    def write() -> dict:
        draw_all(draw, [(name, index) for names in splits.values() for index, name in enumerate(names)])
        return {"sequences": splits}

    parameters = {
        "sequences": sequences,
        "train_sequences": train_sequences,
        "frames": frames,
        "height": height,
        "width": width,
    }
    return fill_folder(root, "uavdt", seed, parameters, LAYOUT, write)


def frame_path(root: Path, name: str, number: int) -> Path:
    """Return the path of a frame; frames count from 1."""
    return root / FRAMES / name / f"img{number:06d}.jpg"


def write_truth(root: Path, name: str, rows: Iterable[tuple[int, ...]], ignored: Iterable[tuple[int, ...]]) -> None:
    """Write a sequence's two ground-truth files; like the official ones, sorted by track, then by frame."""
    folder = root / TRUTH
    for path, listed in ((whole_path(folder, name), rows), (ignore_path(folder, name), ignored)):
        ordered = sorted(listed, key=lambda row: (row[1], row[0]))
        write_bytes(path, "".join(",".join(map(str, row)) + "\n" for row in ordered).encode())


def _names(split: str, count: int) -> list[str]:
    """Return the first `count` official names of a split."""
    names = [sequence.name for sequence in official_sequences().values() if sequence.split == split]
    if count > len(names):
        option = "--sequences" if split == "test" else "--train-sequences"
        raise UserError(f"{option} is {count}; the official {split} list has {len(names)} names.")
    return names[:count]
