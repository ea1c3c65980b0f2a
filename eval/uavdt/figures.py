"""Pictures of a UAVDT run: the official precision-recall curve with AP by group, and a sheet of frames with detections."""

from pathlib import Path

import numpy as np

from eval.box_sheet import IGNORED, TRUTH, Box, Picture, choose, found_share, write_sheet
from eval.metrics.matching import edges
from eval.uavdt.files import CATEGORIES, SequenceDetections, SequenceTruth
from eval.uavdt.layout import Layout
from eval.uavdt.official import Curve
from flsl.runtime.files import write_atomic
from flsl.runtime.images import read_rgb

DETECTION_COLORS = {1: (255, 190, 40), 2: (255, 90, 60), 3: (230, 80, 255), -1: (255, 190, 40)}


def draw_official(path: Path, curve: Curve, rows: list[dict[str, object]]) -> Path | None:
    """Write precision over recall of all sequences together, and the AP of each group of the official tables.

    Returns None, and leaves no file, where nothing right was found: an empty plot says nothing.

    Args:
        path: PNG file.
        curve: of `official.pool`.
        rows: of `official_tables`; single sequences and groups without a box are left out.
    """
    path.unlink(missing_ok=True)
    if not curve.average_precision:
        return None
    from matplotlib.figure import Figure

    shown = [row for row in rows if row["table"] != "sequence" and row["AP"] is not None]
    figure = Figure(figsize=(11, max(3.6, 0.3 * len(shown) + 1)))
    left, right = figure.subplots(1, 2)
    left.plot([*(0 * curve.recall[:1]), *curve.recall], [*curve.precision[:1], *curve.precision])
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    left.set_title(f"all vehicles, IoU 0.7: AP {curve.average_precision:.2f}")
    names = [f"{row['table']}: {row['group']}".replace("_", " ") for row in shown]
    bars = right.barh(names, [row["AP"] for row in shown])
    right.bar_label(bars, [f"{row['AP']:.1f}" for row in shown], padding=2)
    right.set(xlabel="AP in percent", xlim=(0, 112), title="by group")
    right.invert_yaxis()
    figure.tight_layout()
    return write_atomic(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))


def busiest_frame(truth: SequenceTruth) -> int:
    """Return the frame of a sequence with the most boxes, among frames with an ignore region if there is any."""
    boxes = np.bincount(truth.frame, minlength=truth.length + 1)[1 : truth.length + 1]
    regions = np.bincount(truth.ignore_frame, minlength=truth.length + 1)[1 : truth.length + 1] > 0
    return int(np.lexsort((boxes, regions))[-1]) + 1


def draw_overlay(layout: Layout, truths: list[SequenceTruth], detections: list[SequenceDetections], out: Path) -> Path:
    """Write a sheet of the busiest frame of each sequence, worst first: ignore regions gray, ground truth green,
    detections by category, with score.

    As many detections are drawn as a frame has boxes (at least 5): more would hide the picture.
    """
    pictures = []
    for truth, found in zip(truths, detections):
        frame = busiest_frame(truth)
        boxes = truth.box[truth.frame == frame]
        here = np.flatnonzero(found.frame == frame)
        here = here[np.argsort(-found.score[here], kind="stable")][: max(5, len(boxes))]
        ignored, true, detected = map(edges, (truth.ignore_box[truth.ignore_frame == frame], boxes, found.box[here]))
        drawn = [Box(corners, IGNORED, veiled=True) for corners in ignored.tolist()]
        drawn += [Box(corners, TRUTH, thick=2) for corners in true.tolist()]
        for corners, score, category in zip(detected.tolist(), found.score[here], found.category[here].tolist()):
            label = f"{CATEGORIES.get(category, '')} {score:.2f}".strip()
            drawn.append(Box(corners, DETECTION_COLORS[category], label))
        picture = layout.frames(truth.name)[frame - 1]
        pictures.append(Picture(read_rgb(picture), drawn, f"{truth.name}, frame {frame}", found_share(true, detected)))
    names = {"ground truth": TRUTH, "ignored": IGNORED}
    names |= {name: DETECTION_COLORS[category] for category, name in CATEGORIES.items()}
    return write_sheet(out, choose(pictures), "Busiest frame of each sequence: worst first, then the best", names)
