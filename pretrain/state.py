"""Training states on disk: written whole or not at all, beside the training, verified when read, the newest few kept."""

import hashlib
import io
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch

from flsl.runtime.errors import UserError
from flsl.runtime.files import sha256_of_file, write_atomic, write_text

NAME = re.compile(r"step_(\d+)\.(json|pt)")


class Hashing(io.BufferedIOBase):
    """A file that is written from its beginning to its end, and hashed on the way."""

    def __init__(self, file: IO[bytes], digest: Any):
        self.file, self.digest = file, digest

    def write(self, data: Any) -> int:
        """Write and hash bytes."""
        self.digest.update(data)
        return self.file.write(data)


class Beside:
    """One piece of work at a time in a thread of its own."""

    def __init__(self):
        self._thread: threading.Thread | None = None

    def start(self, work: Callable[[], object]) -> None:
        """Begin, once what was begun before is done. `work` raises nothing."""
        self.wait()
        self._thread = threading.Thread(target=work)
        self._thread.start()

    def wait(self) -> None:
        """Wait until nothing is going on."""
        if self._thread:
            self._thread.join()
        self._thread = None


def on_host(value: Any) -> Any:
    """Return nested plain values and tensors, the latter as copies in the host's memory that nothing changes any more."""
    if isinstance(value, torch.Tensor):
        copy = value.detach().to("cpu")
        return copy.clone() if copy.data_ptr() == value.data_ptr() else copy
    if isinstance(value, dict):
        return {key: on_host(item) for key, item in value.items()}
    return [on_host(item) for item in value] if isinstance(value, list) else value


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
        path, hashed = self._path(step), hashlib.sha256()

        def write(temporary: Path) -> None:
            with open(temporary, "wb") as file:
                try:
                    torch.save(state, cast(IO[bytes], Hashing(file, hashed)))
                except RuntimeError as error:  # torch's way of saying that the file refuses
                    raise UserError(f"cannot write {path}: the disk is full, or refuses ({error})") from error

        write_atomic(path, write)
        index = {"step": step, "sha256": hashed.hexdigest()}
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
