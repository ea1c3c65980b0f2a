"""PCK, the percentage of correct keypoints: joints nearer to their true place than a share of the person's size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
SIZE = 0.6  # of the diagonal of the box around a person's joints is the person's size
# Where the box begins before any joint is looked at, as in the public code: so its high corner is never below -1.
_LOW, _HIGH = 1e6, -1.0


@dataclass(frozen=True)
class Counts:
    """How many of the joints are right within each of SHARES (15, shares), and how many were judged (15,)."""

    right: np.ndarray
    judged: np.ndarray

    def rows(self) -> np.ndarray:
        """Return all numbers in one row, as `pck_of` sums them: (15 * (1 + shares),)."""
        return np.concatenate([self.judged[:, None], self.right], axis=1).ravel()


def count(truth: np.ndarray, poses: np.ndarray) -> Counts:
    """Count the right joints of a clip.

    The first frame is given and does not count. A joint that is lost (NaN) does not count either, nor stretch the box of
    its frame, in which the true places of the others lie.

    Args:
        truth: (frames, 15, 2) in pixels.
        poses: (frames, 15, 2) in the same pixels.
    """
    found = ~np.isnan(poses).any(axis=2)  # (frames, 15)
    low = np.where(found[..., None], truth, _LOW).min(axis=1)  # (frames, 2)
    high = np.where(found[..., None], truth, _HIGH).max(axis=1).clip(min=_HIGH)
    size = SIZE * np.linalg.norm(high - low, axis=1)  # (frames,)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.linalg.norm(poses - truth, axis=2) / size[:, None]  # NaN for a person of no size: not right
    judged = found[1:]
    right = [(judged & (distance[1:] <= share)).sum(axis=0) for share in SHARES]
    return Counts(np.stack(right, axis=1), judged.sum(axis=0))


def total_of(counts: Sequence[Counts]) -> Counts:
    """Return the counts of all clips together."""
    return Counts(np.sum([one.right for one in counts], axis=0), np.sum([one.judged for one in counts], axis=0))


def pck(counts: Sequence[Counts]) -> np.ndarray:
    """Return the PCK in percent at each of SHARES over clips: the mean over joints of each joint's share; NaN for none."""
    return pck_of(np.stack([counted.rows() for counted in counts]))


def pck_of(rows: np.ndarray) -> np.ndarray:
    """Return the same from rows of `Counts.rows`, (clips, ...). Joints that were never judged are left out of the mean."""
    summed = rows.sum(axis=0).reshape(-1, 1 + len(SHARES))  # (15, 1 + shares)
    judged = summed[:, :1]
    if not judged.any():
        return np.full(len(SHARES), np.nan)
    return 100.0 * np.mean((summed[:, 1:] / np.maximum(judged, 1))[judged[:, 0] > 0], axis=0)
