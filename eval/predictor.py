"""Who made the predictions that are scored: an encoder at hand, the run whose record lies beside them, or somebody outside."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.run import RECORD, AnyEncoder, Run, load
from flsl.runtime.errors import UserError, require_seed
from flsl.runtime.run_folder import RunFolder
from results.record import Record
from results.store import read_record

if TYPE_CHECKING:
    from flsl.checkpoint import LoadedEncoder


@dataclass(frozen=True)
class Predictor:
    """Who made saved predictions: fields of the record's model, its warnings, and the record beside them, if any."""

    model: dict[str, Any]
    warnings: list[str]
    record: Record | None = None  # of the run that made them here
    outside: bool = False  # nobody says who

    @property
    def identity(self) -> str:
        """What tells one maker of predictions from another."""
        return self.model["fingerprint"]


def load_predictor(run: Run, encoder: AnyEncoder, device: Any = "cpu") -> "tuple[LoadedEncoder, Predictor]":
    """Return an encoder on a device, and what a record says of it. Raises UserError: see `load`."""
    loaded = load(encoder, device, run.seed)
    return loaded, Predictor(loaded.model_fields(run.name), list(loaded.warnings))


def predictor(run: Run, encoder: "AnyEncoder | None", predictions: Path, files: Iterable[Path], kind: str) -> Predictor:
    """Say who made saved predictions: the model of the record beside them, if this program made them; else the encoder that
    the user names; else an outside method, named by --name or the folder and known by the hash of its files.

    Args:
        run: the evaluation; its name replaces the model's own, and it takes over the seed of what this program made, and in
            the same folder what that cost.
        encoder: what the user says made them.
        predictions: a file, or the folder of the files.
        files: the predictions; one that is not there counts as empty.
        kind: "detector" or "method".

    Raises:
        UserError: see `load`; the user names another encoder than the record.
    """
    beside = predictions.resolve().parent / RECORD
    record = read_record(beside) if beside.is_file() else None
    if record is not None and predictions.name in record.files.values():
        try:
            require_seed(record.seed)
        except UserError as error:
            raise UserError(
                f"{beside} is no record of a run here: {error} Move it away to score what others made."
            ) from error
        run.seed = record.seed  # random weights depend on it too
        run.learned_from = record.dataset.train_sha256
        if beside.parent == run.out.resolve():
            run.earlier = record
        model = dataclasses.asdict(record.model)
        if encoder is not None and load(encoder, seed=run.seed).fingerprint != model["fingerprint"]:
            raise UserError(f"{predictions} was made by {model['name']}, says {beside}, not by --checkpoint {encoder}.")
        return Predictor(model | {"name": run.name or model["name"]}, list(record.warnings), record)
    if encoder is not None:
        return load_predictor(run, encoder)[1]
    digest = hashlib.sha256()
    for path in files:
        digest.update((path.read_bytes() if path.is_file() else b"") + b"\0")
    model = {
        "name": run.name or predictions.resolve().stem,
        "method": f"outside {kind}",
        "architecture": "unknown",
        "patch_size": 0,
        "parameters": 0,
        "fingerprint": digest.hexdigest(),
        "source": "scored from saved predictions",
    }
    return Predictor(model, [], outside=True)


@contextlib.contextmanager
def claim_scoring(
    run: Run,
    predictions: Path,
    maker: Predictor,
    identity: Mapping[str, Any],
    *,
    part: Sequence[str] | None = None,
    outputs: Sequence[str],
) -> Iterator[None]:
    """Own the output folder while predictions that are there are scored, always anew.

    Predictions that a run made in this folder stay that run's; it counts as finished afterwards only if they were
    scored on its data. Others, from wherever, have an identity of their own, and never replace a run's results.

    Args:
        run: whose folder it is.
        predictions: what is scored.
        maker: who made them.
        identity: what they are scored on (`data`, with its `annotations`) and as what.
        part: see `Run.claim`.
        outputs: see `Run.claim`; what scoring writes.

    Raises:
        UserError: see `Run.claim`.
    """
    target = {"items": "all" if part is None else sorted(part), "extras": False}
    folder = RunFolder(run.out, {}, target=target, results=[RECORD])
    own = predictions.resolve().parent == run.out.resolve()
    if not (own and folder.adopt()):
        made_of = {"predictions": maker.identity, **identity}
        with run.claim(made_of, part=part, outputs=outputs, rescore=True):
            yield
        return
    if "encoder" in folder.identity and (maker.record is None or folder.identity["encoder"] != maker.identity):
        raise UserError(
            f"{predictions} is not what a record in {run.out} calls the predictions of the run there. If that run was "
            "interrupted, run its command again: it goes on, and scores them. Score others with another --out."
        )
    with folder:
        run.keep_whole(folder, part)
        yield
        same = folder.identity.get("data", {}).get("annotations") == identity["data"]["annotations"]
        folder.finish() if same else folder.reopen()
