"""Time a pretraining recipe on this machine, beside the plain path.

    python -m pretrain bench [CONFIG] [--against plain] [--batch 8 ...] [--set key=value ...] [--json FILE]
    python -m pretrain bench [CONFIG] --part workers --workers 1 4 8
    python -m pretrain bench [CONFIG] --part run --seconds 30

Prints step time and images/s, the loader's images/s per worker, and peak memory; with --against plain also the plain
path (explicit attention matrices, a forward per view, per-tensor loops; PIL views) in the same run, and the ratios.
Both sides take turns, and the fastest step of each counts, so that other load on the machine disturbs less.
The part `workers` times whole loaders with several worker processes, `run` a real training from files to states.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from flsl.commands.arguments import add_changes
from flsl.runtime.program import HelpLayout, Parser
from flsl.runtime.text import as_called

DEFAULT = Path("configs/pretrain/flsl_vit-s16_in1k_300e.py")
SECONDS_OF_A_LOADER = 2.0
SECONDS_OF_A_ROUND = 0.2  # of steps on a GPU


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the bench command."""
    parser = Parser(prog=as_called("python -m pretrain bench"), description=__doc__, formatter_class=HelpLayout)
    parser.add_argument("config", nargs="?", type=Path, default=DEFAULT, help="recipe (default: %(default)s)")
    parser.add_argument("--against", choices=("plain",), help="time the plain path in the same run")
    parser.add_argument(
        "--batch", type=int, nargs="+", default=[8], help="images a step, one size or several (default: 8)"
    )
    parser.add_argument("--part", nargs="+", choices=("step", "loader", "workers", "run"), default=["step", "loader"],
                        help="what to time (default: step loader)")  # fmt: skip
    parser.add_argument("--photometric", action="store_true", help="time steps that begin with color and blur, too")
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="numbers of loader processes (default: 1)")
    parser.add_argument("--seconds", type=float, default=30, help="of the part run (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row here as soon as it is measured")
    parser.add_argument("--append", action="store_true", help="keep the rows that the file of --json has")
    parser.add_argument("--rounds", type=int, default=3, help="timed steps of each side (default: %(default)s)")
    parser.add_argument("--images", type=int, default=64, help="images through each loader (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder of images for the loader (default: photographs are drawn)")
    add_changes(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the timings."""
    from flsl.runtime.apart import require_apart
    from flsl.runtime.device import choose_device
    from flsl.runtime.errors import is_out_of_memory, require_between
    from flsl.runtime.precision import choose_dtype
    from flsl.runtime.stopwatch import peak_device_memory, peak_memory
    from pretrain.bench_run import link_photographs, time_run
    from pretrain.recipe import read_recipe

    batch, workers = min(arguments.batch), min(arguments.workers)
    require_between(1, batch=batch, rounds=arguments.rounds, images=arguments.images, workers=workers)
    if arguments.json:
        inputs = {"the recipe": arguments.config}
        require_apart(arguments.json, {"the files of --data": arguments.data}, inputs, option="--json")
    device, rows = choose_device(arguments.device), Rows(arguments.json, arguments.append)
    for batch in arguments.batch if "step" in arguments.part else ():
        size = ["training.accumulate=1", f"training.batch_size={batch}", "runtime.log_every=1000"]
        recipe = read_recipe(arguments.config, [*arguments.overrides, *size])
        precision = str(choose_dtype(recipe.training.precision, device, float16_on_cpu=True)).removeprefix("torch.")
        print(f"{recipe.name}, batch {batch}, {device}, {precision}")
        common = {"batch": batch, "device": str(device), "precision": precision}
        try:
            time_steps(recipe, device, arguments, lambda common=common, **row: rows.add("step", **common, **row))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            print("  out of memory")
            rows.add("step", **common, error="out of memory")
        on_device = peak_device_memory(device)
        also = "" if on_device is None else f"; of the device, by the last side: {on_device:.0f} MiB"
        print(f"peak memory of the process so far: {peak_memory():.0f} MiB{also}")
    recipe = read_recipe(arguments.config, arguments.overrides)
    if "loader" in arguments.part:
        time_loaders(recipe, arguments, rows)
    if "workers" in arguments.part:
        time_workers(recipe, device, arguments, rows)
    if "run" in arguments.part:
        with tempfile.TemporaryDirectory() as folder:
            drawn = Path(folder, "drawn")
            drawn.mkdir()
            data = arguments.data or link_photographs(Path(folder, "images"), sorted(draw_photographs(drawn).iterdir()))
            often = "runtime.log_every=" + ("2" if device.type == "cpu" else "10")
            changes = [*arguments.overrides, often, "runtime.pictures_every=0", "probe.epochs=0"]
            out, seconds = Path(folder, "run"), arguments.seconds
            row = time_run(arguments.config, data, out, seconds=seconds, changes=changes, device=str(device))
        print(f"training: {row['images_per_second']:.1f} images/s, waiting for data {row['data_wait_share']:.1%}")
        rows.add("run", **row)
    return 0


class Rows:
    """What was measured, one dictionary a row, in a JSON file that is whole after each."""

    def __init__(self, path: Path | None, append: bool = False):
        """Without a path nothing is kept; `append` keeps what the file has. Raises UserError for no file, or none of rows."""
        from flsl.runtime.errors import UserError
        from flsl.runtime.files import require_writable

        self.path, self.rows = path, list[dict[str, Any]]()
        if path:
            require_writable(path, "--json")
        if path and append and path.is_file():
            try:
                found = json.loads(path.read_bytes())
            except (ValueError, RecursionError):
                found = None
            if not isinstance(found, list):
                raise UserError(
                    f"--json {path} holds no list of rows for --append. Name another file, or leave out --append."
                )
            self.rows = found

    def add(self, what: str, **row: Any) -> None:
        """Add a row and write the file."""
        from flsl.runtime.files import write_text

        self.rows.append({"what": what, **row})
        if self.path:
            write_text(self.path, json.dumps(self.rows, indent=1))


def best(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Run all sides in turn, once to warm up and `rounds` times for the clock; return the best seconds of each."""
    seconds = dict.fromkeys(sides, float("inf"))
    for round_ in range(rounds + 1):
        for name, call in sides.items():
            begin = time.perf_counter()
            call()
            if round_:
                seconds[name] = min(seconds[name], time.perf_counter() - begin)
    return seconds


def table(title: str, seconds: dict[str, float], images: int, reference: str) -> None:
    """Print one line a side: milliseconds, images/s, ratio to the reference side."""
    print(title)
    for name, value in seconds.items():
        ratio = f"  {seconds[reference] / value:.2f}x {reference}" if reference in seconds and name != reference else ""
        print(f"  {name:<28}{value * 1e3:10.1f} ms {images / value:9.1f} images/s{ratio}")


def time_steps(recipe: Any, device: Any, arguments: argparse.Namespace, add: Callable[..., None]) -> None:
    """Time whole optimizer steps on random views; `add` gets a row for each side."""
    from flsl.model import FLSL
    from flsl.runtime.errors import UserError
    from flsl.runtime.stopwatch import peak_device_memory, wait_for
    from pretrain.batch import to_device
    from pretrain.dataset import draw_sample
    from pretrain.feed import choose_apply
    from pretrain.method import build_model, find_method
    from pretrain.plain import PlainStep
    from pretrain.schedules import Schedules
    from pretrain.step import TrainingStep, compiles

    count = recipe.training.batch_size
    sample = draw_sample(recipe, count)
    keep = find_method(recipe).keeps_crops(recipe)
    batch = to_device(sample, device, keep)
    schedules = Schedules.of(recipe, 100)
    on_gpu = device.type == "cuda"
    sides: dict[str, Callable[[], None]] = {}
    repeats: dict[str, int] = {}
    memory: dict[str, float] = {}

    def start(name: str, step: Callable, before: float, sample: Callable[[], Any] = lambda: batch) -> None:
        def call() -> None:
            for _ in range(repeats[name]):
                step([sample()], 1)
            wait_for(device)

        sides[name], repeats[name] = call, 1
        if on_gpu:
            call()  # compiles and records
            begin = time.perf_counter()
            call()
            # A GPU is only waited for after a few steps, as in training; of large ones two take long enough.
            repeats[name] = min(max(round(SECONDS_OF_A_ROUND / (time.perf_counter() - begin)), 2), 10)
            memory[name] = (peak_device_memory(device) or 0.0) - before

    before = held_memory(device)
    fast = TrainingStep(build_model(recipe).to(device), recipe, schedules, device)
    start("fast", fast, before)
    if arguments.photometric:
        colors = choose_apply(recipe, device)
        for key, part in sample.items() if on_gpu else ():
            sample[key] = [tensor.pin_memory() for tensor in part] if isinstance(part, list) else part.pin_memory()
        start("fast, color too", fast, before, lambda: to_device(sample, device, keep, colors))
    if arguments.against:
        if not isinstance(fast.model, FLSL):
            raise UserError(
                f"--against plain needs a recipe of FLSL, whose published step it is, not of {fast.model.title}"
            )
        before = held_memory(device)
        start("plain", PlainStep(build_model(recipe).to(device), recipe, schedules), before)
    seconds = {name: value / repeats[name] for name, value in best(sides, arguments.rounds).items()}
    table("training step", seconds, count, "plain")
    kind = f"{'compiled ' * compiles(recipe, device)}{'joined ' * recipe.runtime.join_views}"
    mode = f"{kind}{'one by one' if fast.captured is None else 'graph'}"
    for name, value in seconds.items():
        how = "one by one" if name == "plain" else mode
        add(mode=how, side=name, seconds=value, images_per_second=count / value, device_memory_mib=memory.get(name))


def time_loaders(recipe: Any, arguments: argparse.Namespace, rows: Rows) -> None:
    """Time what one data worker does, in this process on one thread."""
    import cv2
    import numpy as np
    import torch
    from PIL import Image

    from pretrain.apply_pil import apply_pil
    from pretrain.crops import cut_views_pil
    from pretrain.dataset import ViewDataset, find_images
    from pretrain.method import find_method
    from pretrain.photometric import normalize

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = find_images(arguments.data or draw_photographs(Path(folder)))
        indices = [i % len(paths) for i in range(arguments.images)]

        def pil() -> None:
            for index in indices:
                random = np.random.default_rng(index)
                with Image.open(paths[index]) as file:
                    image = file.convert("RGB")
                plan = find_method(recipe).plan(recipe, image.width, image.height, random)
                for crop, parameters in zip(cut_views_pil(image, plan.boxes, plan.nested), plan.parameters):
                    array = np.array(apply_pil(crop, parameters))
                    normalize(torch.from_numpy(array).permute(2, 0, 1).float() / 255)

        def ours(where: Literal["device", "workers"]) -> Callable[[], Any]:
            dataset = ViewDataset(paths, recipe, where)
            return lambda: [dataset[0, index] for index in indices]

        sides = {"crops only (device)": ours("device"), "crops and color (workers)": ours("workers")}
        if arguments.against:
            sides["plain"] = pil
        seconds = best(sides, 2)
        table("one data worker", seconds, len(indices), "plain")
        for name, value in seconds.items():
            rows.add("loader", side=name, images_per_second=len(indices) / value)
    torch.set_num_threads(threads)


def time_workers(recipe: Any, device: Any, arguments: argparse.Namespace, rows: Rows) -> None:
    """Time whole loaders for a few seconds each, from when their workers are busy."""
    from torch.utils.data import DataLoader

    from pretrain.dataset import ViewDataset, collate, find_images
    from pretrain.feed import single_thread

    where: Literal["device", "workers"] = "workers" if device.type == "cpu" else "device"
    size = 16
    print(f"whole loaders, color on the {'CPU' if where == 'workers' else 'device'}")
    with tempfile.TemporaryDirectory() as folder:
        paths = find_images(arguments.data or draw_photographs(Path(folder)))
        for workers in arguments.workers:
            order = ([(0, (size * i + j) % len(paths)) for j in range(size)] for i in itertools.count())
            loader = DataLoader(
                ViewDataset(paths, recipe, where),
                batch_sampler=order,
                num_workers=workers,
                collate_fn=collate,
                pin_memory=device.type == "cuda",
                worker_init_fn=single_thread,
            )
            batches: Any = iter(loader)
            done = 0
            for _ in range(3 * workers):  # what was loaded while the processes started
                next(batches)
            begin = time.perf_counter()
            while done < arguments.images or time.perf_counter() - begin < SECONDS_OF_A_LOADER:
                next(batches)
                done += size
            rate = done / (time.perf_counter() - begin)
            print(f"  {workers:>2} workers {rate:9.1f} images/s, {rate / workers:.1f} each")
            rows.add("workers", workers=workers, images_per_second=rate)
            batches._shutdown_workers()


def draw_photographs(folder: Path) -> Path:
    """Draw eight JPEG files of ImageNet's usual size, 500 x 375, with as much detail as photographs."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(8):
        layers = [
            np.array(
                Image.fromarray(random.integers(0, 256, (375 // s, 500 // s, 3), dtype=np.uint8)).resize((500, 375), 3),
                dtype=float,
            )
            for s in (64, 16, 4, 1)
        ]
        picture = layers[0] * 0.5 + layers[1] * 0.3 + layers[2] * 0.15 + layers[3] * 0.05
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{index}.jpg", quality=90)
    return folder


def held_memory(device: Any) -> float:
    """Return the MiB of a GPU that this process holds, and let the peak begin there; 0 on a CPU.

    A recorded step holds its memory between replays too, where it does not count as allocated."""
    import gc

    import torch

    from flsl.runtime.stopwatch import peak_device_memory

    if device.type == "cuda":
        gc.collect()  # or an earlier setting ends, and gives its memory to this one, at any time
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    return peak_device_memory(device) or 0.0
