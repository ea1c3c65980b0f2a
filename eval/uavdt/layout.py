"""A copy of UAVDT on disk: which sequences it holds, their frames, their ground truth, and whether it is the official
data.

    DIR/UAV-benchmark-M/<seq>/img000001.jpg
    DIR/UAV-benchmark-MOTD_v1.0/GT/<seq>_gt_whole.txt, <seq>_gt_ignore.txt

The toolkit's own folder, which holds `GT/` directly, is read too: scoring saved detections needs no frames.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.uavdt.files import SequenceTruth, ignore_path, read_truth, whole_path
from eval.uavdt.sequences import WITHOUT_IGNORE, official_sequences
from flsl.runtime.errors import UserError
from flsl.runtime.files import inside
from flsl.runtime.marker import read_marker

FRAMES = "UAV-benchmark-M"
TRUTH = "UAV-benchmark-MOTD_v1.0/GT"

_FRAME = re.compile(r"img([0-9]{6})\.jpe?g")


@dataclass(frozen=True)
class Layout:
    """A copy of the benchmark. `marker` is the content of `dataset.json`, which only synthetic data have."""

    root: Path
    truth: Path
    marker: dict[str, Any] | None

    @property
    def has_frames(self) -> bool:
        """Whether pictures are there at all."""
        return (self.root / FRAMES).is_dir()

    def require_frames(self) -> None:
        """Raise UserError if there are no pictures."""
        if not self.has_frames:
            raise UserError(
                f"{self.root / FRAMES} is missing: the frames <sequence>/img000001.jpg and so on are needed. Unpack the "
                "official archive UAV-benchmark-M.zip there. (Only scoring saved detections needs none.)"
            )

    def sequences(self, split: str) -> list[str]:
        """Return the sequences of `train` or `test` that are here, in official order.

        They are those with a frame folder; in a copy without any frames, those with ground truth.

        Raises UserError if there is none.
        """
        wanted = [s.name for s in official_sequences().values() if s.split == split]
        place = self.root / FRAMES if self.has_frames else self.truth
        found = [n for n in wanted if (place / n if self.has_frames else whole_path(place, n)).exists()]
        if not found:
            raise UserError(
                f"{place} holds none of the {len(wanted)} official {split} sequences ({wanted[0]} ... {wanted[-1]}); "
                f"found there: {inside(place)}. Check --data, or draw data with `python -m eval data synthesize uavdt DIR`."
            )
        return found

    def frames(self, sequence: str) -> list[Path]:
        """Return the pictures of a sequence: item i is frame i + 1.

        Raises UserError if there is none or a frame number is missing in between.
        """
        folder = self.root / FRAMES / sequence
        numbered = numbered_frames(folder)
        if 0 in numbered:  # the boxes would be those of the frame before
            raise UserError(f"{numbered[0]}: frames count from 1. Unpack the sequence's archive again.")
        if not numbered:
            raise UserError(f"{folder} holds no frame; expected img000001.jpg, img000002.jpg, ...")
        for number in range(1, max(numbered) + 1):
            if number not in numbered:
                raise UserError(
                    f"{folder}/img{number:06d}.jpg is missing (the folder goes up to frame {max(numbered)}). "
                    "Unpack the sequence's archive again."
                )
        return [numbered[number] for number in range(1, max(numbered) + 1)]

    def length(self, sequence: str) -> int | None:
        """Return a sequence's number of frames: that of its pictures, else the official one, else None (unknown)."""
        if self.has_frames:
            return len(self.frames(sequence))
        return None if self.marker else official_sequences()[sequence].frames

    def read_truth(self, sequence: str) -> SequenceTruth:
        """Read a sequence's ground truth; see `eval.uavdt.files.read_truth`."""
        return read_truth(self.truth, sequence, self.length(sequence))

    def read_truths(self, split: str, limit: int | None = None) -> list[SequenceTruth]:
        """Read the ground truth of the first `limit` sequences of `train` or `test` (None: of all that are here).

        Raises UserError if a file is malformed, or holds no box at all: nothing could be learned or scored.
        """
        truths = [self.read_truth(name) for name in self.sequences(split)[:limit]]
        if not any(len(truth.frame) for truth in truths):
            names = ", ".join(truth.name for truth in truths)
            raise UserError(
                f"the ground truth in {self.truth} holds no box in {names}: there is nothing to {split} with."
            )
        return truths

    def is_official(self, truths: list[SequenceTruth]) -> bool:
        """Whether these are the whole official test split: every sequence, with its official frames, boxes and regions."""
        whole = {s.name for s in official_sequences().values() if s.split == "test"}
        return whole == {truth.name for truth in truths} and self._all_unchanged(truths)

    def name(self, truths: list[SequenceTruth]) -> str:
        """Return an honest name for a record: `uavdt`, `uavdt-subset` (some official sequences), the marker's name of
        synthetic data, or `uavdt-changed` (official names, but other frames or boxes, or no ignore regions)."""
        if self.marker:
            return self.marker["name"]
        if not self._all_unchanged(truths):
            return "uavdt-changed"
        return "uavdt" if self.is_official(truths) else "uavdt-subset"

    def _all_unchanged(self, truths: list[SequenceTruth]) -> bool:
        return self.marker is None and all(self._is_unchanged(truth) for truth in truths)

    def _is_unchanged(self, truth: SequenceTruth) -> bool:
        known = official_sequences()[truth.name]
        return (
            (truth.length, len(truth.frame)) == (known.frames, known.boxes)
            and known.has_published_boxes(truth)
            and (truth.name in WITHOUT_IGNORE or ignore_path(self.truth, truth.name).is_file())
        )

    def annotation_sha256(self, sequences: list[str]) -> str:
        """Return one hash over the ground-truth files of the sequences, in order."""
        digest = hashlib.sha256()
        for sequence in sequences:
            for path in (whole_path(self.truth, sequence), ignore_path(self.truth, sequence)):
                digest.update(f"{path.name}\0".encode())
                digest.update(path.read_bytes() if path.is_file() else b"absent")
        return digest.hexdigest()


def numbered_frames(folder: Path) -> dict[int, Path]:
    """Return the pictures of a sequence's folder by number. Raises UserError where two have one."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("*")):
        if match := _FRAME.fullmatch(path.name.lower()):
            first = found.setdefault(int(match[1]), path)
            if first != path:
                raise UserError(f"{path} and {first.name} are both frame {int(match[1])}. Delete one of them.")
    return found


def open_layout(root: Path) -> Layout:
    """Open a copy of UAVDT. Raises UserError if the folder or its ground truth is missing."""
    if not root.is_dir():
        raise UserError(f"{root} is not a folder. --data must name a copy of UAVDT: {FRAMES}/ and {TRUTH}/.")
    for truth in (root / TRUTH, root / "GT"):
        if truth.is_dir():
            return Layout(root, truth, read_marker(root))
    raise UserError(
        f"{root} holds no ground truth: expected {root / TRUTH} with one <sequence>_gt_whole.txt a sequence; found "
        f"{inside(root)}. Unpack the official archive UAV-benchmark-MOTD_v1.0.zip there, or draw data with "
        "`python -m eval data synthesize uavdt DIR`."
    )
