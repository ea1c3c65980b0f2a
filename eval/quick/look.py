"""The order of a quick look: load and prove, score, compare, picture, report."""

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eval.quick.report import Look, as_page, as_text
from eval.quick.trials import TRIALS, Trial, choose_contenders, compare_all, run_trial
from flsl.runtime.device import choose_device
from flsl.runtime.files import write_text
from flsl.runtime.text import as_called
from results.benchmarks import find_benchmark
from results.record import Record
from results.study.cells import read_log

SHOWN = ("davis/JPEGImages/480p", "segment/images/val", "coco/val2017")  # in drawn data: the first picture of each


def take_look(
    checkpoint: str, out: Path | None = None, *, device: str = "auto", trials: Sequence[Trial] = TRIALS
) -> Look:
    """Score a checkpoint beside encoders that learned nothing; prints as it goes and writes `out`/report.html.

    Args:
        checkpoint: as every command takes it.
        out: where data, records and report go; None: a folder below runs/quick named after the encoder's tensors.
        device: auto, cpu, cuda, ...
        trials: what to measure.

    Raises:
        UserError: a checkpoint or folder that cannot be used.
    """
    from flsl.checkpoint import load_encoder
    from flsl.description import describe
    from flsl.figure_sheet import draw_sheets

    begin = time.monotonic()
    chosen = choose_device(device)
    loaded = load_encoder(checkpoint, chosen)
    out = out or Path("runs/quick") / loaded.fingerprint[:12]
    command = shlex.join(["python", "-m", "eval", "quick", checkpoint, "--out", str(out)])
    proof = [f"{name}: {text}" for name, text in describe(loaded).items()] + [f"warning: {w}" for w in loaded.warnings]
    print("\n".join(proof))
    contenders = choose_contenders(loaded, chosen)
    records = {}
    for number, trial in enumerate(trials, 1):
        print(f"\n{number} of {len(trials)}: {trial.title} ({time.monotonic() - begin:.0f} s so far)", flush=True)
        records[trial.title] = run_trial(trial, contenders, out, device, command)
    networks = [contender.encoder for contender in contenders if contender.encoder.format != "pixels"]
    places = [out / "data" / place for place in SHOWN]
    pictures = [min(place.rglob("*.jpg")) for place in places if place.is_dir()]
    sheets = draw_sheets(networks, pictures, out / "pictures", points=[(0.5, 0.5)]) if networks else []
    shows = "components, clusters and attention, one row per encoder"
    told = [*_strip(trials, records, out), *((path, f"{path.stem}: {shows}") for path in sheets)]
    seconds = time.monotonic() - begin
    pairs = compare_all(records)
    look = Look(trials, contenders, proof, records, pairs, _next_steps(checkpoint), _learning(checkpoint), seconds)
    write_text(out / "report.html", as_page(look, told, f"A quick look at {loaded.name}"))
    print(f"\n{as_text(look)}\n\n{out / 'report.html'} has it with pictures ({seconds:.0f} s)")
    return look


def _next_steps(checkpoint: str) -> list[tuple[str, str]]:
    """Return commands that go further, each with what it costs."""
    steps = []
    for key in ("davis2017", "segmentation", "coco"):
        benchmark = find_benchmark(key)
        words = [benchmark.command, "--checkpoint", checkpoint, "--data", benchmark.data_folders[0]]
        command = shlex.join(["python", "-m", "eval", *words, "--out", f"runs/{benchmark.command}"])
        gpu = benchmark.costs.gpu if "GPU" in benchmark.costs.gpu else f"{benchmark.costs.gpu} on a GPU"
        steps.append((as_called(command), f"{benchmark.title}, as published: {gpu}, {benchmark.costs.cpu} on a CPU"))
    return steps


def _strip(
    trials: Sequence[Trial], records: Mapping[str, Mapping[str, Record]], out: Path
) -> Iterator[tuple[Path, str]]:
    """Draw how each encoder carries the masks through the clip on which yours and its floor differ most, either way."""
    from eval.davis.dataset import open_dataset
    from eval.davis.overlay import write_strip

    for trial in (trial for trial in trials if trial.benchmark == "davis"):
        of_clip = {
            name: {clip: scores["J&F"] for clip, scores in record.per_item.items()}
            for name, record in records[trial.title].items()
        }
        yours, floor = [*of_clip][:2]
        clip = max(of_clip[yours], key=lambda clip: abs(of_clip[yours][clip] - of_clip[floor][clip]))
        rows = {f"{name}: J&F {of_clip[name][clip]:.1f}": out / name / "davis" / "predictions" for name in of_clip}
        (video,) = open_dataset(out / "data" / trial.drawn).choose(names=[clip])
        write_strip(video, rows, out / "pictures" / "davis.png")
        about = f"on the clip where {yours} and {floor} differ most; the masks of the first frame are given"
        yield out / "pictures" / "davis.png", f"{trial.title}, {about}"


def _learning(checkpoint: str) -> list[tuple[Path, str]]:
    """Return the pictures that a pretraining drew beside its encoder, first, middle and last, with the loss of that time."""
    run = Path(checkpoint).parent
    pictures = [path for path in sorted(run.glob("pictures/step_*.png")) if path.stem.removeprefix("step_").isdigit()]
    losses = [(line["step"] + 1, line["loss"]) for line in read_log(run) if "loss" in line] if pictures else []
    told = []
    for index in sorted({0, len(pictures) // 2, len(pictures) - 1} if losses else ()):
        steps = int(pictures[index].stem.removeprefix("step_"))
        at, loss = min(losses, key=lambda one: abs(one[0] - steps))
        about = "the images, their features' components, clusters, and attention of two points"
        told.append((pictures[index], f"after {steps} steps (loss {loss:.2f} at step {at}): {about}"))
    return told
