"""What the numbers of the online probe mean, in plain words, where something goes wrong."""

from collections.abc import Mapping, Sequence

import numpy as np

from flsl.components import Components

FLAT = 0.02  # relative fall of the loss below which nothing is learned
FEWEST = 10  # reports of the loss before anything is said of its course
LOST_RANK = 0.5  # of the untrained network's effective rank
GAINED_PLACE, MUCH_PLACE = 1.5, 0.2  # times the untrained network's share, and the least share
GAINED_COLOR, MUCH_COLOR = 1.2, 0.7
LOST_CENTROIDS = 0.25  # of those that an untrained network chooses


def diagnose(
    start: Components,
    now: Components,
    losses: Sequence[float],
    advice: Mapping[str, str],
    in_use: Sequence[float] = (),
) -> list[str]:
    """Return one sentence or two per fault; none where the run looks well.

    Args:
        start: of the untrained network.
        now: of the network so far, on the same images.
        losses: the loss of each report so far, in order.
        advice: what helps with the method against a `flat` loss, a `collapse`, and `few` centroids in use.
        in_use: of the reports so far that count them, the centroids that are the first choice of any token or image.
    """
    found = []
    first, last = course(losses)
    fell = last < (1 - FLAT) * first
    meanwhile = f", while the loss fell from {first:.3g} to {last:.3g}" if fell else ""
    if len(losses) >= FEWEST and abs(last - first) <= FLAT * abs(first):
        found.append(
            f"the loss is flat ({first:.4g} at first, {last:.4g} now): nothing is learned yet. If the warm-up is over, "
            f"{advice['flat']}."
        )
    if now.rank < LOST_RANK * start.rank:
        found.append(
            f"features collapse: their effective rank is {now.rank:.1f}, before training {start.rank:.1f}{meanwhile}. "
            f"The mean-shift of a query spreads over {now.attended:.0%} of a view's tokens"
            + (", so that every mode is nearly the view's mean" if now.attended > 0.3 else "")
            + f": {advice['collapse']}."
        )
    left = float(np.mean(in_use[-3:])) if len(in_use) > 1 else float("inf")
    if in_use and left <= LOST_CENTROIDS * in_use[0]:
        found.append(
            f"assignments collapse: {left:.0f} centroids are the first choice of all that a step assigns, before training "
            f"{in_use[0]:.0f}. The entropy of the mean assignment hides it where assignments are soft: {advice['few']}."
        )
    if now.place > max(GAINED_PLACE * start.place, MUCH_PLACE):
        found.append(
            f"tokens encode their place in the view: it explains {now.place:.0%} of their variance, before training "
            f"{start.place:.0%}{meanwhile}. Assignments by place need no content; segmentation may gain by it all the same, where "
            "classes have their places. views.shift takes places away from the network."
        )
    if now.color > max(GAINED_COLOR * start.color, MUCH_COLOR):
        found.append(
            f"tokens are little but the mean color of their patch: it explains {now.color:.0%} of their variance, before "
            f"training {start.color:.0%}{meanwhile}. That is what pixels say without learning."
        )
    return found


def course(losses: Sequence[float]) -> tuple[float, float]:
    """Return the mean of the first and of the last fifth of the losses; NaN where there are none."""
    if not losses:
        return float("nan"), float("nan")
    part = max(len(losses) // 5, 1)
    return float(np.mean(losses[:part])), float(np.mean(losses[-part:]))
