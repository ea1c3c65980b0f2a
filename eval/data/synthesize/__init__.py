"""Synthetic data in the layouts of ImageNet, DAVIS 2017, COCO 2017 and UAVDT, drawn by one renderer.

Each benchmark's module has `FOLDERS`, what it makes in the data folder, and `draw(root, seed, **sizes)`, which makes it
and returns what the marker file should tell besides.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError

# benchmark -> option -> (default, least, most, help). All options together, in this order, decide the bytes.
SIZES: dict[str, dict[str, tuple[Any, int, int | None, str]]] = {
    "images": {
        "count": (400, 1, None, "pictures in all"),
        "classes": (8, 1, 40, "class folders"),
        "height": (224, 32, None, "pixels"),
        "width": (224, 32, None, "pixels"),
    },
    "davis": {
        "sequences": (4, 1, None, "clips of the val split"),
        "train_sequences": (2, 0, None, "clips of the train split"),
        "frames": (24, 3, None, "frames of a clip"),  # the first and the last are not scored
        "height": (240, 48, None, "pixels"),
        "width": (432, 48, None, "pixels"),
        "void": (False, 0, None, "mark object borders as void (index 255)"),
    },
    "coco": {
        "count": (160, 3, None, "pictures of train2017"),
        "val_count": (40, 3, None, "pictures of val2017"),
        "height": (192, 64, None, "pixels"),
        "width": (256, 64, None, "pixels"),
    },
    "uavdt": {
        "sequences": (2, 1, 20, "clips with names from the official test list"),
        "train_sequences": (3, 0, 30, "clips with names from the official train list"),
        "frames": (24, 2, None, "frames of a clip"),
        "height": (270, 64, None, "pixels"),
        "width": (480, 64, None, "pixels"),
    },
}


def synthesize(benchmark: str, root: Path, seed: int = 0, **sizes: Any) -> int:
    """Draw a benchmark's data into a new folder; returns 0, also where the same data are there already.

    Args:
        benchmark: a key of `SIZES`.
        root: absent, empty, or a finished or interrupted synthesis of the same benchmark.
        seed: the same seed and sizes give the same bytes.
        sizes: of `SIZES[benchmark]`; None and what is not given take the default.

    Raises:
        UserError: a size that cannot be, or a folder that holds something else (`fill_folder`).
    """
    from eval.data.synthesize.folder import fill_folder

    given = {name: value for name, value in sizes.items() if value is not None}
    parameters = {name: given.get(name, default) for name, (default, *_) in SIZES[benchmark].items()}
    for name, (_, least, most, _) in SIZES[benchmark].items():
        require_between(least, most, **{name: parameters[name]})
    module = import_module(f"eval.data.synthesize.{benchmark}")
    return fill_folder(root, benchmark, seed, parameters, module.FOLDERS, lambda: module.draw(root, seed, **parameters))


def require_between(least: int, most: int | None = None, **values: int) -> None:
    """Raise UserError for the first option that is out of bounds."""
    for name, value in values.items():
        if value < least or (most is not None and value > most):
            bound = f"at least {least}" if value < least else f"at most {most}"
            raise UserError(f"--{name.replace('_', '-')} is {value}; it must be {bound}.")
