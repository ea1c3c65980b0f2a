"""The ten parts of `python -m flsl gpucheck`, the most telling first."""

from dataclasses import dataclass
from pathlib import Path

from flsl.gpu_check.steps import Step

ROOT = Path(__file__).resolve().parents[2]
BASE = ("torch", "numpy", "timm", "pydantic", "safetensors", "cv2", "PIL", "simplejpeg", "mmengine")
TESTS = ("pytest", "xdist", *BASE)
DETECTION = ("mmcv", "mmdet", "pycocotools", "faster_coco_eval")
S16, S8 = "configs/pretrain/flsl_vit-s16_in1k_300e.py", "configs/pretrain/flsl_vit-s8_in1k_300e.py"


@dataclass(frozen=True)
class Part:
    """What belongs together and shares one time limit."""

    name: str
    title: str
    seconds: float  # its share of the time, in seconds of a whole run of 8 minutes
    packages: tuple[str, ...]
    steps: tuple[Step, ...]
    needs_gpu: bool = False
    beside: bool = False  # times nothing: may run beside others


def all_parts(device: str, cores: int) -> tuple[Part, ...]:
    """Return the parts for a device, `cpu` or a CUDA one, on a machine with so many cores."""
    on_gpu = device != "cpu"
    beside = cores >= 8
    together = "-n4" if beside else "-n0"  # tests beside each other
    most = _tests("tests", device, "tests", "--ignore=tests/gpu", together, "--dist=loadfile")
    resume = _tests("resume", device, "tests/gpu/test_resume.py", together)
    return (
        Part("card", "versions, card, attention, float32", 20, ("torch",), (_card(device),)),
        Part("tests", "tests that only need another device", 80, TESTS, (most,), beside=beside),
        _of_tests("precision", "fp16 and bf16 steps against float64 on the CPU", 80, device, beside=beside),
        Part("resume", "3 + 3 steps against 6, twice the same", 80, TESTS, (resume,), beside=beside),
        _of_tests("parallel", "two gloo ranks and one NCCL rank against one process", 80, device, beside=beside),
        _of_tests("waiting", "no waiting for the device in a step", 40, device, needs_gpu=True),
        Part("throughput", "training steps", 130, BASE, _throughput(device), needs_gpu=True),
        Part("loader", "loaders, and a real training", 80, (*BASE, "tensorboard"), _loader(device, cores, on_gpu)),
        Part(
            "detection", "Mask R-CNN: steps and detection", 70, (*BASE, *DETECTION), _detection(device), needs_gpu=True
        ),
        Part("davis", "label propagation: masks and seconds per frame", 60, TESTS, _davis(device), needs_gpu=True),
    )


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


def _throughput(device: str) -> tuple[Step, ...]:
    """The default, compiled and replayed, comes first. A batch size takes about half a minute to compile."""
    graph, eager = ("runtime.compile=False",), ("runtime.compile=False", "runtime.cuda_graph=False")
    plan = (
        ("compiled graph", S16, (), ("512", "64", "16", "256"), ("--photometric",)),
        ("compiled graph", S8, (), ("64",), ("--photometric",)),
        ("graph", S16, graph, ("512", "64", "16", "256"), ()),
        ("eager and plain", S16, eager, ("64", "16"), ("--against", "plain")),
        ("eager", S16, eager, ("512", "256"), ()),
        ("graph", S8, graph, ("64",), ()),
        ("eager", S8, eager, ("64",), ()),
    )
    steps = []
    for mode, recipe, changes, batches, more in plan:
        common = ("training.precision=auto", "runtime.activation_checkpointing=False")
        sets = tuple(word for change in (*common, *changes) for word in ("--set", change))
        words = (recipe, "--part", "step", "--rounds", "4", *more, *sets, "--batch", *batches)
        steps.append(_bench(f"{_model(recipe)} {mode}", device, *words))
    return tuple(steps)


def _model(recipe: str) -> str:
    """Return the model in a recipe's name, such as vit-s16."""
    return Path(recipe).stem.split("_")[1]


def _loader(device: str, cores: int, on_gpu: bool) -> tuple[Step, ...]:
    workers = [str(n) for n in (1, 4, 8, 16) if n <= cores] or ["1"]
    recipe = S16 if on_gpu else "configs/pretrain/flsl_demo.py"
    return (
        _bench("workers", device, recipe, "--part", "workers", "--workers", *workers),
        _bench("training", device, recipe, "--part", "run", "--seconds", "30" if on_gpu else "10"),
    )


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
    return (_tests("masks", device, "tests/gpu/test_davis.py"), Step("seconds per frame", bench, "rows"))
