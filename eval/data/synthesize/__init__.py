"""Synthetic data in the layouts of ImageNet, DAVIS 2017, VIP, JHMDB, YouTube-VOS, COCO 2017, segmentation and UAVDT, drawn by one renderer.

Each benchmark's module has `FOLDERS`, what it makes in the data folder, and `draw(root, seed, **sizes)`, which makes it
and returns what the marker file should tell besides.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from eval.data.synthesize.sizes import SIZES
from flsl.runtime.errors import require_between


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
