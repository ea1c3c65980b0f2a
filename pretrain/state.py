"""Training states on disk: written whole or not at all, verified when read, the newest few kept."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flsl.runtime.errors import UserError
from flsl.runtime.files import sha256_of_file, write_atomic

NAME = re.compile(r"step_(\d+)\.json")


@dataclass(frozen=True)
class StateFolder:
    """`OUT/states`: `step_N.pt` with tensors and `step_N.json` with its sha256, N steps done.

    The JSON file is written last, so a state without one was never finished.
    """

    folder: Path
    keep: int

    def save(self, step: int, state: dict[str, Any], recipe: dict[str, Any]) -> Path:
        """Write the state after `step` steps and delete all but the newest `keep`.

        Raises:
            UserError: the disk refuses; earlier states are intact.
        """
        path = self.folder / f"step_{step:08d}.pt"
        write_atomic(path, lambda temporary: torch.save(state, temporary))
        index = {"step": step, "sha256": sha256_of_file(path), "recipe": recipe}
        write_atomic(path.with_suffix(".json"), lambda temporary: temporary.write_text(json.dumps(index)))
        self.clear(self.keep)
        return path

    def clear(self, keep: int = 0) -> None:
        """Delete all but the newest `keep` states."""
        for old in self.steps()[keep:]:
            for suffix in (".json", ".pt"):
                (self.folder / f"step_{old:08d}{suffix}").unlink(missing_ok=True)

    def steps(self) -> list[int]:
        """Return the steps of all finished states, newest first."""
        found = (NAME.fullmatch(path.name) for path in self.folder.glob("step_*.json"))
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def newest(self, device: torch.device) -> tuple[int, dict[str, Any], dict[str, Any], list[str]] | None:
        """Return (step, state, recipe, complaints about newer broken ones) of the newest whole state, or None.

        Raises:
            UserError: there are states, but every one is broken.
        """
        complaints = []
        for step in self.steps():
            path = self.folder / f"step_{step:08d}.pt"
            try:
                index = json.loads(path.with_suffix(".json").read_text())
                if sha256_of_file(path) != index["sha256"]:
                    raise ValueError("its bytes differ from those that were written")
                state = torch.load(path, map_location=device, weights_only=True)
                return step, state, index["recipe"], complaints
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                complaints.append(f"{path} is broken ({error}); the one before it is used")
        if complaints:
            raise UserError(
                f"no whole training state in {self.folder}: {'; '.join(complaints)}. Start anew with --resume never."
            )
        return None


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys whose values differ between two nested dictionaries, as `key: old -> new`."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before} -> {after}")
    return found


def check_unchanged(old: dict[str, Any], new: dict[str, Any], allowed: list[str], out: Path) -> None:
    """Raise UserError, listing the differences, where a recipe differs from the one that `out` was started with.

    `allowed` names keys (or sections) that may differ.
    """
    old, new = json.loads(json.dumps(old)), json.loads(json.dumps(new))  # tuples become lists
    changed = [
        line
        for line in differences(old, new)
        if not any(line.split(":")[0] == key or line.startswith(key + ".") for key in allowed)
    ]
    if changed:
        raise UserError(
            f"{out} was started with another recipe: {'; '.join(changed)}. Use another --out, start anew with "
            "--resume never, or permit a change with --allow-config-change KEY."
        )
