"""Evaluate encoders on benchmarks, one folder a benchmark.

from eval import evaluate
record = evaluate("runs/s16/encoder.safetensors", "davis", data="davis", out="runs/s16/davis")
record.metrics["J&F"].value
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from flsl.runtime.errors import UserError, unknown_key

if TYPE_CHECKING:
    from eval.run import AnyEncoder
    from flsl.runtime.run_folder import WhenExists
    from results.record import Record

__all__ = ["evaluate"]


def evaluate(
    encoder: "AnyEncoder | None",
    benchmark: str,
    data: "str | Path",
    out: "str | Path",
    *,
    name: str | None = None,
    device: str = "auto",
    seed: int = 0,
    when_exists: "WhenExists" = "skip",
    score_only: bool = False,
    predictions: "str | Path | None" = None,
    command: str = "",
    **options: Any,
) -> "Record":
    """Evaluate an encoder on a benchmark and return the record that was written.

    The same call again returns the finished record at once, or goes on where an interrupted one stopped; a call with
    another encoder, other data or other constants in the same `out` is refused.

    Args:
        encoder: checkpoint file of any known layout, name that `python -m flsl models` lists, `hf:ORG/NAME`, `timm:NAME`,
            `random:vit_small/16`, or an encoder in memory. None (with `predictions`): somebody else's method.
        benchmark: `davis`, `coco`, `uavdt`, `knn`, ...
        data: the benchmark's folder, official layout.
        out: folder of predictions and `record.json`.
        name: of the model in the record; None takes the checkpoint's own.
        device: auto, cpu, cuda, cuda:1, ...
        seed: of weights, order and resampling.
        when_exists: what to do where `out` holds a run: `skip` as said above, `overwrite` it, or `fail`.
        score_only: score saved predictions again; nothing is encoded or trained.
        predictions: what to score, if not what is in `out`.
        command: the command line that repeats the run, for the record.
        options: the adapter's own, see `Options` in `eval/<benchmark>/run.py` (for COCO `config`, `overrides`, ...).

    Raises:
        UserError: an encoder, data or options that cannot be used; the message says what to do.
    """
    from eval.run import Run, carry_out  # pydantic is imported only now
    from flsl.runtime.run_folder import WhenExists
    from results.benchmarks import find_benchmark

    for key, value in {"benchmark": benchmark, "command": command, "name": "" if name is None else name}.items():
        if not isinstance(value, str):
            raise UserError(f"{key} must be text, but is {value!r:.80}")
    for key, path in {"data": data, "out": out, "predictions": "." if predictions is None else predictions}.items():
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise UserError(f"{key} must be the path of a folder or file, but is {path!r:.80}")
    if when_exists not in get_args(WhenExists):
        raise UserError(unknown_key(f"when_exists={when_exists!r}", str(when_exists), get_args(WhenExists), "choice"))
    run = Run(
        Path(out),
        find_benchmark(benchmark),
        name=name,
        device=device,
        seed=seed,
        when_exists=when_exists,
        command=command or f"eval.evaluate({encoder!r}, {benchmark!r}, {str(data)!r}, {str(out)!r}, ...)",
    )
    place = None if predictions is None else Path(predictions)
    return carry_out(run, encoder, Path(data), options, score_only=score_only, predictions=place)
