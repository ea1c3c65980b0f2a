"""Pictures of a UAVDT run: the official precision-recall curve with AP by group, and one frame with its detections."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from eval.uavdt.files import CATEGORIES, SequenceDetections, SequenceTruth
from eval.uavdt.official import Curve
from flsl.runtime.files import write_atomic
from flsl.runtime.images import read_rgb

TRUTH_COLOR = (60, 220, 80)
IGNORE_COLOR = (150, 150, 150)
DETECTION_COLORS = {1: (255, 190, 40), 2: (255, 90, 60), 3: (230, 80, 255), -1: (255, 190, 40)}


def draw_official(path: Path, curve: Curve, rows: list[dict[str, object]]) -> Path:
    """Write precision over recall of all sequences together, and the AP of each group of the official tables.

    Args:
        path: PNG file.
        curve: of `official.pool`.
        rows: of `official_tables`; single sequences and groups without a box are left out.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [row for row in rows if row["table"] != "sequence" and row["AP"] is not None]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, max(3.6, 0.3 * len(shown) + 1)))
    left.plot([*(0 * curve.recall[:1]), *curve.recall], [*curve.precision[:1], *curve.precision])
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    left.set_title(f"all vehicles, IoU 0.7: AP {curve.average_precision:.2f}")
    names = [f"{row['table']}: {row['group']}".replace("_", " ") for row in shown]
    bars = right.barh(names, [row["AP"] for row in shown])
    right.bar_label(bars, [f"{row['AP']:.1f}" for row in shown], padding=2)
    right.set(xlabel="AP in percent", xlim=(0, 112), title="by group")
    right.invert_yaxis()
    figure.tight_layout()
    write_atomic(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))
    pyplot.close(figure)
    return path


def busiest_frame(truths: list[SequenceTruth]) -> tuple[int, int]:
    """Return (index of the sequence, frame) with the most boxes, among frames with an ignore region if there is any."""
    best = (False, -1, 0, 1)
    for index, truth in enumerate(truths):
        boxes = np.bincount(truth.frame, minlength=truth.length + 1)[: truth.length + 1]
        regions = np.bincount(truth.ignore_frame, minlength=truth.length + 1)[: truth.length + 1] > 0
        order = np.lexsort((boxes[1:], regions[1:]))
        frame = int(order[-1]) + 1
        best = max(best, (bool(regions[frame]), int(boxes[frame]), -index, frame))
    return -best[2], best[3]


def draw_overlay(picture: Path, frame: int, truth: SequenceTruth, detections: SequenceDetections, out: Path) -> Path:
    """Write `out`: ignore regions gray, ground truth green, detections by category, the best ones, with score.

    As many detections are drawn as the frame has boxes (at least 5): more would hide the picture.
    """
    image = Image.fromarray(read_rgb(picture))
    veil = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(veil)
    for left, top, right, bottom in _corners(truth.ignore_box[truth.ignore_frame == frame]):
        pen.rectangle((left, top, right, bottom), fill=(*IGNORE_COLOR, 130), outline=(*IGNORE_COLOR, 255))
    image.paste(veil, mask=veil)

    pen = ImageDraw.Draw(image)
    boxes = truth.box[truth.frame == frame]
    for corners in _corners(boxes):
        pen.rectangle(corners, outline=TRUTH_COLOR, width=2)
    here = np.flatnonzero(detections.frame == frame)
    here = here[np.argsort(-detections.score[here], kind="stable")][: max(5, len(boxes))]
    for corners, score, category in zip(
        _corners(detections.box[here]), detections.score[here], detections.category[here]
    ):
        pen.rectangle(corners, outline=DETECTION_COLORS[int(category)])
        label = f"{CATEGORIES.get(int(category), '')} {score:.2f}".strip()
        pen.text((corners[0] + 2, corners[1] - 11), label, fill=DETECTION_COLORS[int(category)])
    return write_atomic(out, image.save)


def _corners(boxes: np.ndarray) -> list[tuple[float, float, float, float]]:
    return [(x, y, x + w, y + h) for x, y, w, h in boxes.tolist()]
