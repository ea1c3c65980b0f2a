"""Command-line arguments that every adapter shares, and the way from them to `eval.evaluate`."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from flsl.commands.arguments import add_changes, add_overrides, overrides
from flsl.runtime.distributed import is_main, world_size
from flsl.runtime.errors import UserError, require_seed
from flsl.runtime.slurm import add_launcher, adopt_ranks, submit

PROPAGATION = ("protocol", "split", "limit", "processes", "precision")  # options of every label propagation


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --checkpoint, --data, --out, --name, --device, --seed and --when-exists to an adapter's parser.

    None is required here, since `bench` and the like need none; `evaluate_arguments` asks for what is missing.
    """
    parser.add_argument(
        "--checkpoint",
        metavar="PATH",
        help="encoder to evaluate: a checkpoint of any known layout, a name that `python -m flsl models` lists, hf:ORG/NAME, timm:NAME, "
        "random:ARCHITECTURE/PATCH for the untrained baseline, e.g. random:vit_small/16, or pixels/PATCH: no network, a token "
        "is the mean color of its patch and its place",
    )
    add_overrides(parser)
    parser.add_argument("--data", type=Path, metavar="DIR", help="the benchmark's folder, official layout")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where predictions and record.json go")
    parser.add_argument("--name", help="model name in the record (default: taken from the checkpoint)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument(
        "--when-exists",
        choices=("skip", "overwrite", "fail"),
        default="skip",
        help="what to do when --out holds a run: skip keeps a finished one and resumes an interrupted one, if it is this "
        "run, and refuses another (default: %(default)s)",
    )


def add_scoring(parser: argparse.ArgumentParser, metavar: str, what: str) -> None:
    """Add --score-only and --predictions; `what` they are, and where by default."""
    parser.add_argument("--score-only", action="store_true", help="score saved predictions; nothing is computed")
    parser.add_argument("--predictions", type=Path, metavar=metavar, help=f"with --score-only: the {what}")


def add_fine_tuning(
    parser: argparse.ArgumentParser,
    *,
    task: str,
    config: Path | None,
    small: Path | None,
    metavar: str,
    predictions: str,
) -> None:
    """Add everything that an adapter takes which fine-tunes, besides options of its own.

    Args:
        parser: the adapter's.
        task: module with the adapter's `FineTuning`.
        config: recipe used where none is named; None leaves it to the task.
        small: likewise, of `bench` without data.
        metavar: what --predictions names.
        predictions: likewise, in words.
    """
    add_common_arguments(parser)
    add_scoring(parser, metavar, predictions)
    default = f"{config}; of bench without --data: {small}" if config else "the protocol's own"
    parser.add_argument("--config", type=Path, metavar="CONFIG", help=f"recipe (default: {default})")
    parser.set_defaults(task=task, default_config=config, small_config=small)
    add_changes(parser)
    parser.add_argument("mode", nargs="?", choices=("bench",), help="measure the parts of a run; keep nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="bench: write the figures here too")
    parser.add_argument("--plan", action="store_true", help="print what would run, from a 20-step probe; keep nothing")
    parser.add_argument("--test-only", action="store_true", help="use the trained model in --out; train nothing")
    add_launcher(parser)


def add_detection(parser: argparse.ArgumentParser, **declared: Any) -> None:
    """Add what `add_fine_tuning` does, as is declared, and --metric-backend of the detection adapters."""
    add_fine_tuning(parser, **declared)
    parser.add_argument(
        "--metric-backend",
        choices=("faster", "pycocotools"),
        default="faster",
        help="of COCO's metrics: faster-coco-eval, or pycocotools, which gives the same (default: %(default)s)",
    )


def add_propagation(
    parser: argparse.ArgumentParser, *, protocols: Sequence[str], split: str, splits: str, items: str, predictions: str
) -> None:
    """Add what every label propagation takes: one of `protocols`, the first where none is named; a split, `split` where none
    is, with words for all that there are; how to share and to score `items`, of which it makes `predictions`."""
    add_common_arguments(parser)
    names = f"{', '.join(protocols[:-1])} or {protocols[-1]}"
    parser.add_argument("--protocol", default=protocols[0], help=f"{names} (default: %(default)s)")
    parser.add_argument("--split", default=split, help=f"{splits} (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help=f"only the first N {items}; the record is partial")
    parser.add_argument("--processes", type=int, default=1, help=f"share the {items} (and GPUs) (default: %(default)s)")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="of the encoder (default: %(default)s)"
    )
    add_scoring(parser, "DIR", f"{predictions} (default: OUT/predictions)")


def evaluate_arguments(arguments: argparse.Namespace, options: Iterable[str], *, shared: bool = False) -> int:
    """Call `eval.evaluate` with what a command was given; returns the exit code.

    Args:
        arguments: of a parser with the options of `add_common_arguments`.
        options: names of the adapter's own options.
        shared: whether the ranks that torchrun started share an evaluation. Otherwise the first one does all of it, with
            `processes` of its own in the others' place where the adapter has that option.

    Raises:
        UserError: the first option that is missing or has no use.
    """
    from eval import evaluate

    adopt_ranks()
    require(arguments, "data", "out")
    score_only, predictions = getattr(arguments, "score_only", False), getattr(arguments, "predictions", None)
    if not score_only and arguments.checkpoint is None:
        raise UserError(
            "--checkpoint is missing: give an encoder's checkpoint file or random:ARCHITECTURE/PATCH"
            + (", or --score-only to score saved predictions." if hasattr(arguments, "score_only") else ".")
        )
    if predictions is not None and not score_only:
        raise UserError("--predictions goes with --score-only; without it the predictions are made by this run.")
    chosen = _plain(arguments, options)
    if world_size() > 1 and (score_only or not shared):
        if not is_main():
            return 0
        if chosen.get("processes") == 1:
            chosen["processes"] = world_size()
        os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_WORLD_SIZE="1")
    evaluate(
        _checkpoint(arguments),
        arguments.command,
        arguments.data,
        arguments.out,
        name=arguments.name,
        device=arguments.device,
        seed=arguments.seed,
        when_exists=arguments.when_exists,
        score_only=score_only,
        predictions=predictions,
        command=shlex.join(["python", "-m", "eval", *sys.argv[1:]]),
        **chosen,
    )
    return 0


def _plain(arguments: argparse.Namespace, options: Iterable[str]) -> dict[str, Any]:
    """Return an adapter's own options as `parse` takes them."""
    given = {name: getattr(arguments, name) for name in options}
    return {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}


def _checkpoint(arguments: argparse.Namespace) -> str | None:
    """Return the one string that names the encoder, with what overrides it."""
    from flsl.source import join_spec  # it loads pydantic, which the help need not wait for

    return arguments.checkpoint and join_spec(arguments.checkpoint, overrides(arguments))


def require(arguments: argparse.Namespace, *names: str) -> None:
    """Raise UserError for the first of the named options that is not given."""
    for name in names:
        if getattr(arguments, name) is None:
            raise UserError(f"--{name} is missing. `python -m eval {arguments.command} --help` shows the commands.")


def evaluate_fine_tuned(arguments: argparse.Namespace, options: Sequence[str]) -> int:
    """Do what a fine-tuning adapter was asked for: `bench`, `--plan`, a Slurm job, or the evaluation; returns the exit code.

    Args:
        arguments: of a parser with the options of `add_fine_tuning`.
        options: names of the adapter's own options.
    """
    options = ("config", "overrides", "test_only", *options)
    require_seed(arguments.seed)
    bench = arguments.mode == "bench"
    small = bench and arguments.data is None
    arguments.config = arguments.config or (arguments.small_config if small else arguments.default_config)
    chosen = [name for name in ("plan", "test_only", "score_only") if getattr(arguments, name)]
    if len(chosen) > 1 and not bench:
        raise UserError(f"{' and '.join('--' + name.replace('_', '-') for name in chosen)} do not go together")
    if bench or arguments.plan:
        if not bench:
            require(arguments, "data", "checkpoint")
        _measure(arguments, options)
    elif arguments.launcher == "slurm":
        require(arguments, "data", "out", "checkpoint")
        # The same run, without the launcher.
        run = partial(evaluate_fine_tuned, options=options[3:])
        submit(run, argparse.Namespace(**(vars(arguments) | {"launcher": "none"})))
    else:
        return evaluate_arguments(arguments, options, shared=True)
    return 0


def _measure(arguments: argparse.Namespace, options: Iterable[str]) -> None:
    from eval.finetune import probe
    from flsl.runtime.schema import parse

    chosen = parse(import_module(f"eval.{arguments.command}.run").Options, _plain(arguments, options))
    task = import_module(arguments.task).FineTuning(arguments.data, Path(), chosen)
    how: dict[str, Any] = {"seed": arguments.seed, "device": arguments.device}
    checkpoint = _checkpoint(arguments)
    if arguments.mode != "bench" and checkpoint:
        return probe.plan(task, checkpoint, **how)
    from eval.data.synthesize import synthesize  # no benchmark knows how its data are drawn

    draw = None if arguments.data else partial(synthesize, arguments.command)
    return probe.bench(task, checkpoint, draw=draw, file=arguments.json, **how)
