"""The contract of every evaluation: one function, one object for its output folder, one record at the end.

from eval import evaluate
record = evaluate("runs/s16/encoder.safetensors", "davis", "davis", "runs/s16/davis")

An adapter is a folder `eval/<command>/` whose `run.py` has

    Options                                             what can be chosen besides what every evaluation has: a `section`
    evaluate(encoder, data, run, options)               encode or train, save predictions, score them
    score(predictions, encoder, data, run, options)     score predictions that are there; only where an adapter can
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flsl.runtime.apart import require_apart
from flsl.runtime.device import choose_device
from flsl.runtime.distributed import is_main, on_main, world_size
from flsl.runtime.errors import UserError, explained_memory, require_seed
from flsl.runtime.run_folder import RunFolder, State, WhenExists
from flsl.runtime.schema import parse
from flsl.runtime.stopwatch import Stopwatch
from flsl.runtime.text import printable
from flsl.source import path_of
from results.benchmarks import Benchmark, measured
from results.environment import collect_code, collect_environment
from results.record import Dataset, Interval, Metric, Model, Record, Timing
from results.store import read_record, write_record

if TYPE_CHECKING:
    import torch

    from flsl.checkpoint import LoadedEncoder
    from flsl.encoder import Encoder

RECORD = "record.json"
LOST = "an earlier process of this run ended before it could say how long it took: times are without it"
Items: TypeAlias = 'list[str] | Literal["all"]'  # names
AnyEncoder: TypeAlias = "str | Path | LoadedEncoder | Encoder"  # what names or is one


def carry_out(
    run: "Run",
    encoder: "AnyEncoder | None",
    data: Path,
    options: Mapping[str, Any],
    *,
    score_only: bool,
    predictions: Path | None,
) -> Record:
    """Let the run's benchmark evaluate an encoder, or score predictions; see `eval.evaluate`."""
    require_seed(run.seed)
    if run.name is not None and not (run.name.strip() and run.name.isprintable()):
        raise UserError(f"--name {run.name!r} is no name for a model: expected is text without control characters")
    command = run.benchmark.command
    adapter = import_module(f"eval.{command}.run")
    chosen = parse(adapter.Options, options)
    if world_size() > 1 and (score_only or not getattr(adapter, "SHARED_BY_RANKS", False)):
        raise UserError(f"{command} runs in one process here: start it without torchrun or srun")
    if not data.is_dir():
        raise UserError(f"--data {data} is not a folder. `python -m eval {command} --help` says what must be in it.")
    checkpoint = path_of(encoder) if isinstance(encoder, (str, Path)) else None
    run.inputs = {"--data": data, "--checkpoint": checkpoint, "--predictions": predictions}
    require_apart(run.out, {"the files of --data": data}, {"--checkpoint": checkpoint})
    if score_only or encoder is None:
        if not hasattr(adapter, "score"):
            raise UserError(f"{command} cannot score saved predictions; name a checkpoint")
        return adapter.score(predictions, encoder, data, run, chosen)
    if predictions is not None:
        raise UserError("predictions are scored with score_only=True (--score-only); without it this run makes them")
    with explained_memory(lambda said: _out_of_memory(run, chosen, said)):
        return adapter.evaluate(encoder, data, run, chosen)


def _out_of_memory(run: "Run", options: Any, said: str) -> str:
    """Say what ran out, and which of the evaluation's options need less of it; none of them changes a result."""
    ways, batch, processes = [], getattr(options, "batch_size", 1), getattr(options, "processes", 1)
    if batch is None or batch > 1:
        ways.append(f"--batch-size {max((batch or 4) // 2, 1)}")
    if processes > 1:
        ways.append(f"--processes {processes // 2}")
    ways.append("another --device" if str(run.device) == "cpu" else "--device cpu, which is slower")
    return f"out of memory on {run.device} ({said}). Try {', or '.join(ways)}; the same command goes on from what is written."


def load(encoder: AnyEncoder, device: Any = "cpu", seed: int = 0) -> "LoadedEncoder":
    """Return an encoder with proof of what was loaded: from a checkpoint's name (and its errors), or as it is in memory."""
    from flsl.checkpoint import LoadedEncoder, load_encoder
    from flsl.encoder import Encoder

    if isinstance(encoder, (str, Path)):
        return load_encoder(str(encoder), device, seed=seed)
    if not isinstance(encoder, (LoadedEncoder, Encoder)):
        raise UserError(f"the encoder must be a checkpoint's name or an Encoder in memory, but is {encoder!r:.80}")
    if isinstance(encoder, Encoder):
        encoder = LoadedEncoder(encoder, encoder.config.name, method="in memory", source="in memory")
    encoder.encoder.to(device).eval()
    return encoder


@dataclass
class Run:
    """One evaluation: where it goes, how it is seeded, how long it takes, and its record."""

    out: Path
    benchmark: Benchmark
    name: str | None = None  # of the model in the record; None takes the checkpoint's own
    device: Any = "auto"
    seed: int = 0
    when_exists: WhenExists = "skip"
    command: str = ""  # that repeats the run, for the record
    inputs: Mapping[str, Path | None] = field(default_factory=dict)  # what is read, by the option that names it
    watch: Stopwatch = field(default_factory=Stopwatch)
    earlier: Record | None = None  # of the run that is tested or scored again here: what it cost is kept
    items: "Items" = "all"  # that the seconds so far are of
    others: list[dict[str, Any]] = field(default_factory=list)  # what processes told that evaluated none of these items
    learned_from: str | None = None  # digest of the labels that the predictions were learned from, where they were

    def choose_device(self) -> "torch.device":
        """Return the device that was named, or that is there; torch is imported only now."""
        self.device = self.watch.device = choose_device(str(self.device))
        return self.device

    @contextlib.contextmanager
    def claim(
        self,
        identity: Mapping[str, Any],
        *,
        part: Sequence[str] | None = None,
        extras: bool = False,
        outputs: Sequence[str] = (),
        needs: Sequence[str] = (),
        allowed: Iterable[str] = (),
        rescore: bool = False,
        together: bool = False,
    ) -> Iterator[State]:
        """Own the output folder while inside; afterwards the run counts as finished, unless an error came out.

        Yields what is to do: `fresh`, `resume` (predictions that are there are of this run), or `done`.

        Args:
            identity: what the predictions depend on, besides benchmark and seed: encoder, protocol, recipe, data.
            part: names of the items that are evaluated where not all are; predictions of one part serve another.
            extras: whether more is written than a plain run writes (a run with extras answers one without).
            outputs: names that the run makes besides its record.
            needs: names that an earlier run made and this one reads.
            allowed: dotted keys of the identity that may differ from what is in the folder.
            rescore: compute the metrics again also where the run is finished.
            together: predictions of one part serve no other: all of them are made again.

        Raises:
            UserError: the folder holds another run, is in use, or holds the whole result where a part is asked for.
        """
        items = self.items = "all" if part is None else sorted(part)
        folder = RunFolder(
            self.out,
            {"benchmark": self.benchmark.key, "seed": self.seed, **identity},
            target={"items": items, "extras": extras},
            results=[RECORD],
            outputs=outputs,
            needs=needs,
            inputs=self.inputs,
            when_exists=self.when_exists,
            allowed=allowed,
        )
        with contextlib.ExitStack() as stack:

            def begin() -> State:
                stack.enter_context(folder)
                state = folder.begin()
                if state == "resume":
                    self.keep_whole(folder, part)
                    if together:
                        folder.start_over()
                if state != "done" and not rescore and (state == "resume" or folder.told is not None):
                    self._go_on(folder, items, together)
                return "resume" if rescore and state == "done" else state

            state = on_main(begin)
            try:
                yield state
            except BaseException:
                if state != "done" and not rescore and is_main():
                    with contextlib.suppress(UserError):  # what came out is to be said, not that the disk is full too
                        folder.tell(self._told())
                raise
            if state != "done" and is_main():
                folder.told = folder.told if rescore else self._told()
                folder.finish()

    def _go_on(self, folder: RunFolder, items: Items, together: bool) -> None:
        """Let the seconds of earlier processes count whose predictions serve these items, and keep the others' for later."""
        told = folder.told if isinstance(folder.told, dict) else {}
        for each in (folder.told, *told.get("others", ())):
            theirs = each.get("items", items) if isinstance(each, dict) else items  # older versions wrote none
            if theirs == items or (not together and ("all" in (theirs, items) or {*theirs} & {*items})):
                self.watch.take_up(each)
                self.items = "all" if "all" in (theirs, self.items) else sorted({*theirs, *self.items})
            elif not together:
                self.others.append({key: value for key, value in each.items() if key != "others"})
        # Until this process tells how long it took: it may be killed.
        folder.tell(self._told() | {"whole": False})

    def _told(self) -> dict[str, Any]:
        """Return what the next process of the run is to know: the seconds so far, of which items, and those of others."""
        return self.watch.tell() | {"items": self.items, "others": self.others}

    def keep_whole(self, folder: RunFolder, part: Sequence[str] | None) -> None:
        """Raise UserError where a part of the items would replace the result over all of them."""
        if part is not None and (folder.reached or {}).get("items") == "all":
            raise UserError(
                f"{self.out} holds the result over all {self.benchmark.item}: one over a part of them would replace it. "
                "Choose another --out."
            )

    def kept(self) -> Record:
        """Return the finished record that is there, saying (once, of several ranks) that nothing was computed."""
        record = read_record(self.out / RECORD)
        if is_main():
            print(
                f"skipped: {self.out / RECORD} holds this {record.status} result of {printable(record.model.name)} on "
                f"{printable(record.protocol)} ({record.headline} {_show(record.metrics.get(record.headline))}); "
                "--when-exists overwrite runs it again"
            )
        return record

    def saved(self, predictions: Path | None, own: str, expected: str) -> Path:
        """Return the folder of predictions to score: the one that is named, or the run's `own`. Raises UserError: none."""
        folder = predictions or self.out / own
        if not folder.is_dir():
            raise UserError(f"--predictions {folder} is not a folder; expected in it is {expected}")
        return folder

    def finish(
        self,
        *,
        model: Mapping[str, Any],
        protocol: str,
        dataset: Dataset,
        values: Mapping[str, float | None],
        intervals: Mapping[str, Interval | None],
        items: int,
        headline: str | None = None,
        config: Mapping[str, Any] | None = None,
        per_item: dict[str, dict[str, float]] | None = None,
        files: dict[str, str] | None = None,
        warnings: list[str] | None = None,
        tools: Mapping[str, Any] | None = None,
        file: str = RECORD,
    ) -> Record:
        """Build the run's record, write it and print its headline.

        The status is `partial` unless every expected item was evaluated; unit and direction of each metric come from the
        benchmark's declaration.

        Args:
            model: `LoadedEncoder.model_fields(...)`, or `outside_model(...)`.
            protocol: name and version.
            dataset: what was evaluated, and of how much.
            values: scores by the names that the benchmark declares.
            intervals: of some of them.
            items: evaluated in all, for the throughput.
            headline: the metric that ranks, where the protocol's constants name it; None takes the declared one.
            config: resolved recipe or constants; its hash tells recipes apart on a leaderboard.
            per_item: scores of single items.
            files: what else was written -> path relative to `out`.
            warnings: what a reader must know.
            tools: what it was computed with and does not depend on, such as the metric's backend.
            file: name of the record.

        Raises:
            UserError: a metric that the benchmark does not declare, an impossible value, or the disk refuses.
        """
        lost = [] if self.watch.whole else [LOST]
        headline = headline or self.benchmark.headline_of(protocol)
        record = Record(
            model=Model(**model),
            benchmark=self.benchmark.key,
            protocol=protocol,
            dataset=replace(dataset, train_sha256=self.learned_from),
            metrics=measured(self.benchmark, protocol, values, intervals),
            headline=headline,
            seed=self.seed,
            timing=self._timing(items),
            command=self.command,
            config=dict(config or {}),
            per_item=per_item or {},
            files=files or {},
            warnings=list(dict.fromkeys([*(warnings or []), *lost])),  # scored again, they come again
            status="complete" if dataset.items_evaluated == dataset.items_expected else "partial",
            environment=self._environment() | dict(tools or {}),
            code=collect_code(),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        path = write_record(record, self.out / file)
        print(
            f"{protocol} {printable(dataset.name)}: {headline} {_show(record.metrics[headline])} ({record.status}) -> {path}"
        )
        return record

    def _timing(self, items: int) -> Timing:
        before = self.earlier.timing if self.earlier else Timing(wall_seconds=0)
        kept = {name: seconds for name, seconds in before.phases.items() if name not in self.watch.phases}
        wall = self.watch.seconds + sum(kept.values())
        on_device = max(before.peak_device_memory_mib or 0, self.watch.peak_device_memory or 0)
        return Timing(
            wall_seconds=wall,
            items_per_second=items / wall,
            peak_memory_mib=max(before.peak_memory_mib or 0, self.watch.peak_memory),
            peak_device_memory_mib=on_device or None,
            phases=kept | self.watch.phases,
        )

    def _environment(self) -> dict[str, Any]:
        environment = collect_environment()
        if getattr(self.device, "type", None) == "cuda":
            import torch

            environment["gpu"] = torch.cuda.get_device_name(self.device)
        return environment


def _show(metric: Metric | None) -> str:
    """Return a score and its interval as text."""
    if metric is None or metric.value is None:
        return "not measured"
    if metric.interval is None or metric.bounds is None:
        return f"{metric.value:.2f}"
    low, high = metric.bounds
    return f"{metric.value:.2f} [{low:.2f}, {high:.2f}] (95 % over {metric.interval.covers}, one training)"
