"""A run's output folder: whose it is, what was made in it and of what, and what a second run in it may do.

`OUT/run.json` holds the identity of the run (everything that its result depends on), which files and notes it makes and, once
it is finished, how far it was taken. One rule for pretraining and every evaluation:

    same identity, finished as asked for      done: nothing is computed again
    same identity, not finished               resume
    another identity                          an error that lists the differences
    overwrite                                 start over; what any run made there is kept until something new is finished

`OUT/.lock` belongs to the process that owns the folder; the operating system releases it however that process ends. A
run may lie inside another's folder: each touches its own files only.
"""

import errno
import fcntl
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from flsl.runtime.apart import require_kept
from flsl.runtime.errors import UserError
from flsl.runtime.files import remove_temporary, write_text
from flsl.runtime.names import safe_name

FILE, LOCK, PREVIOUS = "run.json", ".lock", ".previous"
State = Literal["fresh", "resume", "done"]
WhenExists = Literal["skip", "overwrite", "fail"]
_owned: set["RunFolder"] = set()  # by this process


def _disown() -> None:
    """Let go of the locks in a forked child: a data loader's process outlives its killed parent for seconds."""
    for folder in list(_owned):
        folder.__exit__()


os.register_at_fork(after_in_child=_disown)


class RunFolder:
    """An output folder while one run owns it: `with RunFolder(...) as folder: state = folder.begin()`."""

    def __init__(
        self,
        out: Path,
        identity: Mapping[str, Any],
        *,
        target: Mapping[str, Any] | None = None,
        results: Sequence[str],
        outputs: Sequence[str] = (),
        notes: Sequence[str] = (),
        needs: Sequence[str] = (),
        inputs: Mapping[str, str | Path | None] | None = None,
        when_exists: WhenExists = "skip",
        allowed: Iterable[str] = (),
        start_over: str = "--when-exists overwrite",
        option: str = "--out",
    ):
        """Describe the run; nothing is touched yet.

        Args:
            out: the folder.
            identity: plain values that the result depends on: encoder, protocol, recipe without its runtime keys, data.
            target: how far the run goes, such as a number of steps or a part of the items. Work towards one target is
                good for another.
            results: names in `out` without which the run is not finished.
            outputs: further names that it makes, such as states to resume from; a run that made neither these nor results
                binds nobody.
            notes: further names, such as logs; `overwrite` puts them aside with the results and outputs.
            needs: names that an earlier run made and this one reads: `overwrite` leaves them.
            inputs: what else is read, by what names it; none of it may be what the run makes or puts aside.
            when_exists: `skip` follows the rule above; `fail` refuses a folder that holds a run.
            allowed: dotted keys (or sections) of the identity that may differ from what is in the folder.
            start_over: the command's option for `overwrite`, for messages.
            option: that which names the folder, for messages.
        """
        self.out, self.when_exists, self.allowed = Path(out), when_exists, list(allowed)
        self.option, self.advice = option, f"Choose another {option}, or start over with {start_over}."
        self.identity, self.target = as_json(identity), as_json(target or {})
        self.results, self.outputs, self.notes = list(results), [*results, *outputs], list(notes)
        self.needs, self.inputs = list(needs), dict(inputs or {})
        self.reached: dict[str, Any] | None = None  # the target of the finished run that `begin` found
        self._found: str | None = None  # what `begin` found and has replaced
        self.told: Any = None  # by earlier processes of this run, such as how long they took: see `tell`
        self._lock: int | None = None

    def __enter__(self) -> "RunFolder":
        """Lock the folder and remove what killed processes left half written.

        Raises:
            UserError: another process owns it (named by number and host), it cannot be written to, or an input is among what
                the run makes.
        """
        require_kept(self.out, (*self.outputs, *self.notes), self.inputs, option=self.option)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            self._take(self._lock)
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode(), 0)
        except BlockingIOError:
            owner = (self.out / LOCK).read_bytes().decode(errors="replace").strip() or "another process"
            self.__exit__()
            raise UserError(f"{self.out} is in use by {owner}. Wait for it, or choose another {self.option}.") from None
        except OSError as error:
            self.__exit__()
            raise UserError(
                f"{self.option} {self.out} cannot be used: {error.strerror}. Name a folder to write to."
            ) from error
        _owned.add(self)
        remove_temporary(self.out, self.outputs)
        return self

    def _take(self, lock: int) -> None:
        """Take the lock, or raise BlockingIOError; a file system without locks is only warned of."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise
            print(f"warning: {self.out} cannot be locked ({error.strerror}): let no other run use it", file=sys.stderr)

    def __exit__(self, *error: object) -> None:
        """Release the folder."""
        _owned.discard(self)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def begin(self) -> State:
        """Decide what this run does in the folder, and write down that it is its.

        Raises:
            UserError: the folder holds another run (the differences are listed), or any with `fail`, or results that do
                not say what they were made from; or an input is among what is put aside.
        """
        if self.when_exists == "overwrite":
            self._overwrite()
            return "fresh"
        found = self._read()
        if found is not None:  # another kind of run makes other files
            self.outputs = list(dict.fromkeys([*self.outputs, *found.get("outputs", ())]))
            if found["identity"] == self.identity:
                self.told = found.get("told")
        there = [name for name in self.outputs if (self.out / name).exists()]
        if found is None or not there:
            if there:
                raise UserError(
                    f"{self.out} holds {', '.join(there)}, but no {FILE} that says what they were made from. "
                    f"{self.advice}"
                )
            self._write(None)
            return "fresh"
        if self.when_exists == "fail":
            raise UserError(f"{self.out} holds a run already. Choose another --out.")
        self.require_same(found["identity"])
        self._found = (self.out / FILE).read_text()
        whole = all((self.out / name).exists() for name in self.results)
        self.reached = found.get("finished") if whole else None
        if self.reached is not None and _covers(self.reached, self.target):
            return "done"
        self._write(self.reached)
        return "resume"

    def _overwrite(self) -> None:
        """Put aside what this run makes and what the run that is there made, whatever kind of run that was."""
        try:
            found = self._read() or {}
        except UserError:  # nobody can say what it made
            found = {}
        theirs = [name for key in ("outputs", "notes") for name in found.get(key, ())]
        made = dict.fromkeys([*self.outputs, *self.notes, *theirs])
        names = [name for name in made if name not in self.needs and (self.out / name).exists()]
        require_kept(self.out, names, self.inputs, option=self.option)
        self._put_aside(names, finished=found.get("finished") is not None)
        self.outputs += [name for name in theirs if name in self.needs and name not in self.outputs]
        self._write(None)

    def adopt(self) -> bool:
        """Take over the identity of the run that is in the folder, to work on its outputs; False where there is none."""
        found = self._read()
        if found is None:
            return False
        self.identity, self.reached, self.told = found["identity"], found.get("finished"), found.get("told")
        self.outputs = found.get("outputs", self.outputs)
        return True

    def require_same(self, other: Mapping[str, Any]) -> None:
        """Raise UserError, listing what differs, unless `other` is this run's identity but for what is allowed."""
        changed = [
            line
            for line in differences(as_json(other), self.identity)
            if not any(line.split(":")[0] == key or line.startswith(f"{key}.") for key in self.allowed)
        ]
        if changed:
            raise UserError(f"{self.out} holds another run: {'; '.join(changed)} (there -> asked for). {self.advice}")

    def finish(self) -> None:
        """Write down that the run has reached its target; what it replaced is deleted."""
        self._write(self.target)
        self.forget_previous()

    def tell(self, told: Mapping[str, Any]) -> None:
        """Write down what this process has to tell the next one of this run."""
        self.told = told
        self._write(self.reached)

    def start_over(self) -> None:
        """Put a result that is there aside with all that the run made, until there is a new one: none of it is of use."""
        self.reached = None
        if all((self.out / name).exists() for name in self.results):
            print(f"the result in {self.out} is kept in {self.out / PREVIOUS} until there is another")
            self._put_aside(name for name in self.outputs if (self.out / name).exists())
        self._write(None)

    def reopen(self) -> None:
        """Write down that the run is not finished: its results were replaced by what does not answer it."""
        self.reached = None
        self._write(None)

    def put_back(self) -> None:
        """Write down again what `begin` found: what may differ turned out not to fit what is there."""
        if self._found is not None:
            write_text(self.out / FILE, self._found)

    def forget_previous(self) -> None:
        """Delete what `overwrite` put aside: there is something new."""
        shutil.rmtree(self.out / PREVIOUS, ignore_errors=True)

    def _read(self) -> dict[str, Any] | None:
        path = self.out / FILE
        try:
            found = json.loads(path.read_text())
            for name in (*found.get("outputs", ()), *found.get("notes", ())):
                safe_name(name, "a run's output", path, folders=True)
            return found if isinstance(found["identity"], dict) else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} cannot be read ({error}). {self.advice}") from error

    def _write(self, finished: Mapping[str, Any] | None) -> None:
        content = {"identity": self.identity, "finished": finished} | ({} if self.told is None else {"told": self.told})
        lists = {"outputs": self.outputs} | ({"notes": self.notes} if self.notes else {})
        lines = [f' "{key}": {json.dumps(names, separators=(",", ":"))}' for key, names in lists.items()]
        write_text(self.out / FILE, ",\n".join([json.dumps(content, indent=1).removesuffix("\n}"), *lines]) + "\n}\n")

    def _put_aside(self, names: Iterable[str], finished: bool = False) -> None:
        """Move what is there to where it is kept. A finished run that is kept there already gives way to a finished one only
        (of this kind, by its results; of another, as `finished` says)."""
        places = (self.out, self.out / PREVIOUS)
        whole, kept = (all((place / name).exists() for name in self.results) for place in places)
        finished |= whole
        if finished:
            self.forget_previous()
        for name in names:
            old, target = (place / name for place in places)
            gone = old if kept and not finished else target
            shutil.rmtree(gone) if gone.is_dir() and not gone.is_symlink() else gone.unlink(missing_ok=True)
            if gone is target:
                target.parent.mkdir(parents=True, exist_ok=True)
                old.replace(target)


def _covers(reached: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    """Tell whether a finished run did all that is asked for: what was switched on beyond that does not matter."""
    return all(
        key in reached and (reached[key] == value or (value is False and reached[key] is True))
        for key, value in target.items()
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys whose values differ between two nested dictionaries, as `key: old -> new`."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before} -> {after}")
    return found


def as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping as JSON gives it back: tuples become lists, keys text."""
    return json.loads(json.dumps(value))
