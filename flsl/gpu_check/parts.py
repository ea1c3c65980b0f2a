"""The parts of `python -m flsl gpucheck`: what is right first, then how fast it is, what was measured least first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flsl.gpu_check.steps import Step

ROOT = Path(__file__).resolve().parents[2]
BASE = ("torch", "numpy", "timm", "pydantic", "safetensors", "cv2", "PIL", "simplejpeg", "mmengine")
TESTS = ("pytest", *BASE)
DETECTION = ("mmcv", "mmdet", "pycocotools", "faster_coco_eval", "scipy", "skimage")
S16, S8 = "configs/pretrain/flsl_vit-s16_in1k_300e.py", "configs/pretrain/flsl_vit-s8_in1k_300e.py"
DEMO = "configs/pretrain/flsl_demo.py"
SMALL = ("64", "16")
SIZES = ("512", "256", *SMALL)
COMMON = ("training.precision=auto", "runtime.activation_checkpointing=False")


@dataclass(frozen=True)
class Part:
    """What belongs together and shares one time limit."""

    name: str
    title: str
    seconds: float  # its share of the time, in seconds of a whole run of twelve minutes
    packages: tuple[str, ...]
    steps: tuple[Step, ...]
    needs_gpu: bool = False
    beside: bool = False  # times nothing: may run beside others


def all_parts(device: str, cores: int) -> tuple[Part, ...]:
    """Return the parts for a device, `cpu` or a CUDA one, on a machine with so many cores."""
    on_gpu = device != "cpu"
    beside = cores >= 8
    together = ("-n4", "--dist=loadfile") if beside else ()  # tests beside each other
    most = _tests("tests", device, "tests", "--ignore=tests/gpu", *together)
    masks = _tests("masks", device, "tests/gpu/test_davis.py")
    return (
        Part("card", "versions, card, attention, float32", 30, ("torch",), (_card(device),)),
        Part(
            "tests", "tests that only need another device", 150, (*TESTS, "xdist") if beside else TESTS, (most,),
            beside=beside,
        ),
        _of_tests("precision", "fp16 and bf16 steps against float64 on the CPU", 150, device, beside=beside),
        _of_tests("resume", "3 + 3 steps against 6, twice the same", 150, device, beside=beside),
        _of_tests("parallel", "two gloo ranks and one NCCL rank against one process", 150, device, beside=beside),
        _of_tests("waiting", "no waiting for the device in a step", 150, device, needs_gpu=True, beside=beside),
        Part("masks", "label propagation: the CPU's masks", 150, TESTS, (masks,), needs_gpu=True, beside=beside),
        Part(
            "compiling", "what the next parts run, compiled", 150, BASE, (_compiling(device),), needs_gpu=True,
            beside=beside,
        ),
        Part("compiled", "training steps, compiled", 122, BASE, _compiled(device), needs_gpu=True),
        Part("uncompiled", "training steps, not compiled, and plain ones", 100, BASE, _uncompiled(device), needs_gpu=True),
        _of_tests("busy", "kernels of a step, and how long the GPU is busy", 60, device, needs_gpu=True),
        Part("davis", "label propagation: seconds per frame", 60, BASE, _davis(device), needs_gpu=True),
        Part("training", "a real training", 90, (*BASE, "tensorboard"), _training(device, on_gpu)),
        Part("loader", "loaders", 30, BASE, _loader(device, cores, on_gpu)),
        Part(
            "detection", "Mask R-CNN: steps and detection", 90, (*BASE, *DETECTION), _detection(device), needs_gpu=True
        ),
    )  # fmt: skip


def _card(device: str) -> Step:
    return Step("card", ("flsl.gpu_check.card", "--device", device, "--json", "{found}"), "rows")


def _tests(name: str, device: str, *paths: str) -> Step:
    # Slow tests are for a GPU, or a part of their own.
    marked = "not slow" if device == "cpu" and name == "tests" else "slow or not slow"
    quiet = ("-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", "--continue-on-collection-errors")
    return Step(name, ("pytest", "--device", device, *quiet, "-m", marked, "--junit-xml={found}", *paths), "tests")


def _of_tests(name: str, title: str, seconds: float, device: str, **more: bool) -> Part:
    return Part(name, title, seconds, TESTS, (_tests(name, device, f"tests/gpu/test_{name}.py"),), **more)


def _bench(name: str, device: str, *words: str) -> Step:
    return Step(name, ("pretrain", "bench", *words, "--device", device, "--json", "{found}"), "rows")


def _compiling(device: str) -> Step:
    sizes = [f"{recipe}:{batch}" for recipe, batches in ((S16, SIZES), (S8, ("64",))) for batch in batches]
    sizes += [f"{S16}:{batch}:joined" for batch in SMALL]
    sets = (word for change in COMMON for word in ("--set", change))
    return Step("compiling", ("pretrain.bench_compiling", "{found}", device, *sizes, *sets), "rows")


def _compiled(device: str) -> tuple[Step, ...]:
    """What was never measured, or is a goal, comes first; a batch size that is not compiled yet takes half a minute."""
    return (
        _series(
            "compiled",
            device,
            (S8, ("64",), ()),
            (S16, SMALL, ()),
            (S16, SMALL, ("runtime.join_views=True",)),
            (S16, ("512", "256"), ()),
            (S16, ("64",), ("runtime.cuda_graph=False",)),
        ),
    )


def _uncompiled(device: str) -> tuple[Step, ...]:
    graph, eager = ("runtime.compile=False",), ("runtime.compile=False", "runtime.cuda_graph=False")
    plain = ("--against", "plain")
    return (
        _series(
            "uncompiled",
            device,
            (S16, SMALL, eager, *plain),
            (S8, ("64",), eager, *plain),
            (S8, ("64",), graph),
            (S16, (*SMALL, "512", "256"), graph),
            (S16, ("512",), eager),
            (S16, ("256",), eager, *plain),
        ),
    )


def _series(name: str, device: str, *plan: Any) -> Step:
    """Time steps of (recipe, batch sizes, changes, further words ...) one after the other in one process, colors too."""
    words = []
    for recipe, batches, changes, *more in plan:
        sets = (word for change in (*COMMON, *changes) for word in ("--set", change))
        what = ("--part", "step", "--photometric", "--rounds", "4", *more, "--device", device)
        words += ["--", recipe, *what, *sets, "--batch", *batches]
    return Step(name, ("pretrain.bench_series", "{found}", *words), "rows")


def _model(recipe: str) -> str:
    """Return the model in a recipe's name, such as vit-s16."""
    return Path(recipe).stem.split("_")[1]


def _training(device: str, on_gpu: bool) -> tuple[Step, ...]:
    sets = (word for change in COMMON for word in ("--set", change))  # what is compiled already
    recipe, seconds = (S16, "30") if on_gpu else (DEMO, "10")
    return (_bench("training", device, recipe, "--part", "run", "--seconds", seconds, *sets),)


def _loader(device: str, cores: int, on_gpu: bool) -> tuple[Step, ...]:
    workers = [str(n) for n in (1, 4, 8, 16) if n <= cores] or ["1"]
    return (_bench("workers", device, S16 if on_gpu else DEMO, "--part", "workers", "--workers", *workers),)


ONE_OF_EIGHT = ("--set", "training.batch=2")  # GPUs that share the published batch


def _detection(device: str) -> tuple[Step, ...]:
    recipes = ("configs/coco/mask-rcnn_vit-s16_flsl_1x.py", "configs/coco/mask-rcnn_vit-s8_flsl_1x.py")
    return tuple(
        Step(
            _model(recipe),
            ("eval", "coco", "bench", "--config", recipe, *ONE_OF_EIGHT, "--device", device, "--json", "{found}"),
            "rows",
        )
        for recipe in recipes
    )


def _davis(device: str) -> tuple[Step, ...]:
    bench = ("eval", "davis", "bench", "--device", device, "--patch-sizes", "16", "8", "--json", "{found}")
    return (Step("seconds per frame", bench, "rows"),)
