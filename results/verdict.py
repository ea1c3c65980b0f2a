"""Is a published figure reproduced? One measured score, its reference if there is one, and the tolerance."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from results.leaderboard import Row
from results.published import Figure, Published, Tolerance

Word = Literal["reproduced", "below", "above", "no reference"]
SIZES = {"vit_tiny": "T", "vit_small": "S", "vit_small_plus": "S+", "vit_base": "B", "vit_large": "L"}
EXACT = 1e-9  # so that a difference of exactly the tolerance is inside


@dataclass(frozen=True)
class Verdict:
    """A measured score against a published one, in percent. `reason` says why there is no reference."""

    metric: str
    word: Word
    measured: float
    figure: Figure | None = None
    difference: float | None = None  # measured - published
    tolerance: Tolerance | None = None
    reason: str = ""


def size_of(architecture: str) -> str:
    """Return the letter of an architecture's size, also where its name is timm's for DINOv3; others keep their name."""
    return SIZES.get(re.sub(r"_patch\d+_dinov3.*", "", architecture), architecture)


def backbone_of(architecture: str, patch_size: int) -> str:
    """Return an architecture as tables print it: `vit_small`, 16 -> `ViT-S/16`; others keep their name (0: no patches)."""
    size = size_of(architecture)
    name = f"ViT-{size}" if size != architecture else architecture
    return f"{name}/{patch_size}" if patch_size else name


def epochs_of(row: Row) -> float | None:
    """Return for how many epochs a row's model was pretrained; None where its checkpoint does not say a number."""
    epochs = row.records[0].model.pretraining.get("epochs")
    if isinstance(epochs, float) and epochs.is_integer():
        return int(epochs)
    return epochs if isinstance(epochs, (int, float)) else None


def judge(row: Row, metric: str, published: Published) -> Verdict:
    """Compare one metric of a leaderboard row with the published figure of the same method, backbone and protocol.

    Only official, complete data count; a figure of another number of pretraining epochs is no reference, where both are
    known.
    """
    value = row.metrics[metric]
    if not row.official:
        return Verdict(metric, "no reference", value, reason=f"{row.dataset} {row.split} is not the official data")
    known = published.methods.get(row.method.lower())
    method = known.name if known else row.method
    backbone = backbone_of(row.architecture, row.patch_size)
    same = [
        figure
        for figure in published.figures
        if (figure.protocol, figure.metric) == (row.protocol, metric)
        and (figure.method, figure.backbone) == (method, backbone)
    ]
    if not same:
        return Verdict(metric, "no reference", value, reason=f"no published {metric} of {method} {backbone}")
    epochs = epochs_of(row)
    fitting = [figure for figure in same if epochs is None or figure.epochs in (None, epochs)]
    if not fitting:
        reason = f"pretrained for {epochs} epochs, the published model for {same[0].epochs}"
        return Verdict(metric, "no reference", value, same[0], reason=reason)
    figure = fitting[0]
    difference = value - figure.value
    tolerance = published.tolerances.get((row.protocol, metric))
    if tolerance is None:
        return Verdict(metric, "no reference", value, figure, difference, reason="no tolerance is set")
    inside = abs(difference) <= tolerance.value + EXACT
    word: Word = "reproduced" if inside else "above" if difference > 0 else "below"
    return Verdict(metric, word, value, figure, difference, tolerance)


def overall(verdicts: Sequence[Verdict]) -> Word:
    """Return the verdict on a row: `below` if any score is, `no reference` if none has one, else the best word."""
    words = {verdict.word for verdict in verdicts}
    for word in ("below", "above", "reproduced"):
        if word in words:
            return word
    return "no reference"
