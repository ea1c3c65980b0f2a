"""Training states on disk: written whole or not at all, verified when read, the newest few kept."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flsl.runtime.errors import UserError
from flsl.runtime.files import sha256_of_file, write_tensors, write_text

NAME = re.compile(r"step_(\d+)\.(json|pt)")


@dataclass(frozen=True)
class StateFolder:
    """`OUT/states`: `step_N.pt` with tensors and `step_N.json` with its sha256, N steps done.

    The JSON file is written last, so a state without one was never finished.
    """

    folder: Path
    keep: int

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state after `step` steps; delete older ones but for the newest `keep`, and what lies ahead of it:
        broken states that were not resumed from.

        Raises:
            UserError: the disk refuses; earlier states are intact.
        """
        path = self._path(step)
        write_tensors(path, state)
        index = {"step": step, "sha256": sha256_of_file(path)}
        write_text(path.with_suffix(".json"), json.dumps(index))
        kept = [past for past in self.steps() if past <= step][: self.keep]
        for file in self.folder.glob("step_*"):
            match = NAME.fullmatch(file.name)
            if match and int(match[1]) not in kept:
                file.unlink(missing_ok=True)
        return path

    def steps(self) -> list[int]:
        """Return the steps of all finished states, newest first."""
        found = (NAME.fullmatch(path.name) for path in self.folder.glob("step_*.json"))
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def newest(self) -> tuple[int, list[str]] | None:
        """Return (step, complaints about newer broken ones) of the newest state that is whole, or None.

        Raises:
            UserError: there are states, but every one is broken.
        """
        complaints: list[str] = []
        for step in self.steps():
            path = self._path(step)
            try:
                if sha256_of_file(path) != json.loads(path.with_suffix(".json").read_text())["sha256"]:
                    raise ValueError("its bytes differ from those that were written")
                return step, complaints
            except (OSError, ValueError, KeyError, TypeError) as error:
                complaints.append(f"{path} is broken ({error}); the one before it is used")
        if complaints:
            raise UserError(
                f"no whole training state in {self.folder}: {'; '.join(complaints)}. Start anew with --resume never."
            )
        return None

    def load(self, step: int, device: torch.device) -> dict[str, Any]:
        """Return the state after `step` steps, its tensors on `device`.

        Raises:
            UserError: it is not there, or cannot be read.
        """
        path = self._path(step)
        try:
            return torch.load(path, map_location=device, weights_only=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}). Every rank must see the folder.") from error

    def _path(self, step: int) -> Path:
        return self.folder / f"step_{step:08d}.pt"
