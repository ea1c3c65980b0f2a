"""Pictures of predictions beside the ground truth: contact sheets, worst objects first, and animated overlays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from eval.davis.dataset import Video
from eval.davis.scoring import VideoScore
from eval.propagation.sheet import Cell, Row, cell_size, color_of, moments, paint, read_shown, write_sheet
from flsl.runtime.files import write_atomic
from flsl.runtime.images import read_bgr

HALF = 426  # width of one half of an animation, in pixels


@dataclass(frozen=True)
class ObjectRow:
    """One object of a sheet: its video, id and J and F (2, scored frames), 0..1."""

    video: Video
    number: int
    values: np.ndarray

    @property
    def score(self) -> float:
        """J&F in percent."""
        return 100 * float(self.values.mean())


def object_rows(videos: Sequence[Video], scores: Sequence[VideoScore]) -> list[ObjectRow]:
    """Return a row for each object of the videos, worst first."""
    rows = [
        ObjectRow(video, number, score.values[:, number - 1])
        for video, score in zip(videos, scores)
        for number in range(1, score.values.shape[1] + 1)
    ]
    return sorted(rows, key=lambda row: row.score)


def write_objects_sheet(rows: Sequence[ObjectRow], predictions: Path, title: str, path: Path) -> None:
    """Write a contact sheet (PNG): an object a row, frames over time, prediction above ground truth."""
    order = ", worst object first" if len(rows) > 1 else ""
    drawn = [_sheet_row(row, predictions) for row in rows]
    write_sheet(drawn, f"{title}: prediction above, ground truth below{order}", path)


def _sheet_row(row: ObjectRow, predictions: Path) -> Row:
    cells = []
    for index in moments(row.values.shape[1]):
        mask = row.video.scored_masks[index]
        both = _both(row.video, mask, predictions / row.video.name / mask.name)
        pictures = [_paint(row.video, index + 1, labels, cell_size(row.video.size), row.number) for labels in both]
        j, f = 100 * row.values[:, index]
        cells.append(Cell(tuple(pictures), f"{mask.stem}  J {j:.0f}  F {f:.0f}"))
    title = f"{row.video.name}, object {row.number}: J&F {row.score:.1f}"
    return Row(title, tuple(cells), tuple(color_of(row.number).tolist()))


def write_strip(video: Video, predictions: Mapping[str, Path], path: Path) -> None:
    """Write several methods' predictions of one video below each other (PNG), MOMENTS frames over time, ground truth last.

    Frames are gray and cut around the objects, which have colors: small pictures that can be compared.

    Args:
        video: with frames; the first frame's masks are what every method was given.
        predictions: text above a row -> folder of predictions, which has the video's.
        path: of the picture.
    """
    shown = moments(len(video.masks))
    truths = [video.edition.read_truth(video.masks[index]) for index in shown]
    part = _around(np.logical_or.reduce([truth > 0 for truth in truths]))
    frames = [cv2.cvtColor(read_bgr(video.frames[i])[part], cv2.COLOR_BGR2GRAY)[..., None].repeat(3, 2) for i in shown]
    rows = {
        text: [video.edition.read_prediction(folder / video.name / video.masks[index].name) for index in shown]
        for text, folder in predictions.items()
    } | {"ground truth": truths}
    size = cell_size((len(frames[0]), frames[0].shape[1]))
    drawn = []
    for text, masks in rows.items():
        cells = tuple(Cell((paint(frame, labels[part], size),)) for frame, labels in zip(frames, masks))
        drawn.append(Row(text, cells))
    write_sheet(drawn, "", path, colors=128)


def _around(objects: np.ndarray) -> tuple[slice, slice]:
    """Return the part of a picture (H, W) in the shape of the whole that holds what is True, with half as much around it."""
    shape = np.array(objects.shape)
    found = np.argwhere(objects)
    low, high = (found.min(axis=0), found.max(axis=0) + 1) if len(found) else (np.zeros(2), shape)
    share = min(1.0, 1.5 * float(((high - low) / shape).max()))
    size = np.ceil(share * shape).astype(int)
    first = np.clip(((low + high - size) / 2).astype(int), 0, shape - size)
    return slice(first[0], first[0] + size[0]), slice(first[1], first[1] + size[1])


def write_animation(video: Video, predictions: Path, path: Path) -> None:
    """Write an animated WebP of a video, prediction on the left and ground truth on the right, 12 frames a second."""
    size = (HALF, round(HALF * video.size[0] / video.size[1]))
    pictures = []
    for index, mask in enumerate(video.masks):
        predicted = predictions / video.name / mask.name
        if not predicted.is_file():  # first and last frame are not scored and may be absent in anyone's predictions
            continue
        halves = [_paint(video, index, labels, size) for labels in _both(video, mask, predicted)]
        pictures.append(Image.fromarray(np.hstack(halves)))
    options: dict[str, Any] = {"save_all": True, "append_images": pictures[1:], "duration": 83, "loop": 0}
    write_atomic(path, lambda temporary: pictures[0].save(temporary, "WEBP", quality=70, method=0, **options))


def _both(video: Video, truth: Path, prediction: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the object ids of a prediction and of its annotation."""
    return video.edition.read_prediction(prediction), video.edition.read_truth(truth)


def _paint(
    video: Video, index: int, labels: np.ndarray, size: tuple[int, int], number: int | None = None
) -> np.ndarray:
    """Return a frame of the given (width, height) with the objects, or one of them, painted over it: (H, W, 3) RGB."""
    return paint(read_shown(video.frames, index, video.size), labels, size, number)
