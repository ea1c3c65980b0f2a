"""The pretraining core: views and data, schedules, the training loop, distributed set-up.

from pretrain import train
encoder = train("configs/pretrain/flsl_demo.py", data="images", out="runs/demo")
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pretrain.recipe import Recipe

__all__ = ["train"]


def train(
    recipe: "Recipe | str | Path",
    data: str | Path,
    out: str | Path,
    *,
    overrides: Iterable[str] = (),
    device: str = "auto",
    resume: Literal["auto", "never"] = "auto",
    allowed: Iterable[str] = (),
    probe_data: str | Path | None = None,
) -> Path:
    """Pretrain an encoder, or go on with an interrupted pretraining in `out`.

    Args:
        recipe: a `pretrain.recipe.Recipe`, or a recipe file.
        data: an ImageFolder, or any folder of images.
        out: folder of this run.
        overrides: changes of the recipe, such as `"training.epochs=10"`.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...
        resume: `auto` continues from the newest state in `out`; `never` starts over.
        allowed: keys or sections of the recipe that may differ from the run that is resumed.
        probe_data: a folder of images with masks, for the probe's in-context segmentation.

    Returns:
        `out/encoder.safetensors`, the encoder that the method keeps; `flsl.load_encoder` reads it.

    Raises:
        UserError: a recipe or data that cannot be used, a folder that holds another run or is in use, or a result that
            could not be written.
        Preempted: a signal asked to stop; the same call continues.
    """
    from pretrain.run import run  # torch takes seconds: not for `--help`

    return run(
        recipe,
        Path(data),
        Path(out),
        overrides=overrides,
        device=device,
        resume=resume,
        allowed=allowed,
        probe_data=None if probe_data is None else Path(probe_data),
    )
