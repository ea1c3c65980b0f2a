"""Time a pretraining recipe on this machine, beside the plain path.

    python -m pretrain bench [CONFIG] [--against plain] [--batch 8] [--set key=value ...]

Prints step time and images/s, the loader's images/s per worker, and peak memory; with --against plain also the plain
path (explicit attention matrices, a forward per view, per-tensor loops; PIL views) in the same run, and the ratios.
Both sides take turns, and the fastest step of each counts, so that other load on the machine disturbs less.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

DEFAULT = Path("configs/pretrain/flsl_vit-s16_in1k_300e.py")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the bench command."""
    parser = argparse.ArgumentParser(
        prog="python -m pretrain bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", type=Path, default=DEFAULT, help="recipe (default: %(default)s)")
    parser.add_argument("--against", choices=("plain",), help="time the plain path in the same run")
    parser.add_argument("--batch", type=int, default=8, help="images a step (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timed steps of each side (default: %(default)s)")
    parser.add_argument("--images", type=int, default=64, help="images through each loader (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder of images for the loader (default: photographs are drawn)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the timings."""
    from flsl.runtime.device import choose_device
    from flsl.runtime.errors import require_between
    from flsl.runtime.precision import choose_dtype
    from flsl.runtime.stopwatch import peak_memory
    from pretrain.recipe import read_recipe

    require_between(1, batch=arguments.batch, rounds=arguments.rounds, images=arguments.images)
    size = ["training.accumulate=1", f"training.batch_size={arguments.batch}", "runtime.log_every=1000"]
    recipe = read_recipe(arguments.config, [*arguments.overrides, *size])
    device = choose_device(arguments.device)
    precision = str(choose_dtype(recipe.training.precision, device, float16_on_cpu=True)).removeprefix("torch.")
    print(f"{recipe.name}, batch {arguments.batch}, {device}, {precision}")
    time_steps(recipe, device, arguments)
    peak = peak_memory()
    print(f"peak memory of the process so far: {peak:.0f} MiB" + cuda_peak(device))
    time_loaders(recipe, arguments)
    return 0


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


def time_steps(recipe: Any, device: Any, arguments: argparse.Namespace) -> None:
    """Time whole optimizer steps on random views."""
    import torch

    from flsl.sampling import draw_queries
    from pretrain.loop import build_model
    from pretrain.plain import PlainStep
    from pretrain.schedules import Schedules
    from pretrain.step import Batch, TrainingStep

    views, patch, sampling = recipe.views, recipe.encoder.patch_size, recipe.sampling
    generator = torch.Generator().manual_seed(0)
    sizes = [views.global_size] * 2 + [views.local_size] * views.n_local
    windows = [sampling.window_global] + [sampling.window_local] * views.n_local
    images = [torch.randn(arguments.batch, 3, s, s, generator=generator).to(device) for s in sizes]
    queries = [
        draw_queries(arguments.batch, s // patch, w, sampling.mode, generator).to(device)
        for s, w in zip(sizes[1:], windows)
    ]
    batch, schedules = Batch(images, queries), Schedules.of(recipe, 100)

    def timed(step: Callable) -> Callable[[], None]:
        def call() -> None:
            step([batch], 1)
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return call

    sides = {"fast": timed(TrainingStep(build_model(recipe).to(device), recipe, schedules, device))}
    if arguments.against:
        sides["plain"] = timed(PlainStep(build_model(recipe).to(device), recipe, schedules))
    table("training step", best(sides, arguments.rounds), arguments.batch, "plain")


def time_loaders(recipe: Any, arguments: argparse.Namespace) -> None:
    """Time what one data worker does, in this process on one thread."""
    import cv2
    import numpy as np
    import torch
    from PIL import Image

    from pretrain.apply_pil import apply_pil
    from pretrain.crops import cut_views_pil, draw_boxes
    from pretrain.dataset import ViewDataset, find_images
    from pretrain.photometric import draw_photometric, normalize

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
                for crop in cut_views_pil(image, draw_boxes(image.width, image.height, recipe.views, random)):
                    array = np.array(apply_pil(crop, draw_photometric(random)))
                    normalize(torch.from_numpy(array).permute(2, 0, 1).float() / 255)

        def ours(where: Literal["device", "workers"]) -> Callable[[], Any]:
            dataset = ViewDataset(paths, recipe, where)
            return lambda: [dataset[0, index] for index in indices]

        sides = {"crops only (device)": ours("device"), "crops and color (workers)": ours("workers")}
        if arguments.against:
            sides["plain"] = pil
        table("one data worker", best(sides, 2), len(indices), "plain")
    torch.set_num_threads(threads)


def draw_photographs(folder: Path, count: int = 8) -> Path:
    """Draw JPEG files of ImageNet's usual size, 500 x 375, with as much detail as photographs."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(count):
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


def cuda_peak(device: Any) -> str:
    """Return the device's peak memory as text, empty on a CPU."""
    import torch

    if device.type != "cuda":
        return ""
    return f"; of the device: {torch.cuda.max_memory_allocated(device) / 2**20:.0f} MiB"
