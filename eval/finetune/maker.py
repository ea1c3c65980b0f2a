"""Who made the predictions that lie in a folder: runs with `--test-only` may have other recipes, and be interrupted."""

import json
import shutil
from collections.abc import Mapping
from typing import Any

from eval.finetune.task import Task
from flsl.runtime.files import sha256_of_file, write_text
from flsl.runtime.run_folder import as_json

MAKER = "predicted_by.json"


def keep_own(task: Task, recipe: Mapping[str, Any], data: Any) -> None:
    """Delete the predictions in a task's folder unless its weights made them, by this recipe, on these data.

    What lies there afterwards, and what is written then, is of this maker: so says the file `MAKER`.

    Args:
        task: whose weights are there.
        recipe: `identity_of` it.
        data: identity of the evaluated part.
    """
    file, found = task.out / MAKER, task.out / task.saves
    maker = as_json({"weights": sha256_of_file(task.weights), "recipe": recipe, "data": data})
    if _read(task) == maker:
        return
    file.unlink(missing_ok=True)  # first: until the new one is there, nobody's predictions count
    if found.is_dir():
        shutil.rmtree(found)
    else:
        found.unlink(missing_ok=True)
    write_text(file, json.dumps(maker, indent=1) + "\n")


def _read(task: Task) -> Any:
    """Return what is said of the predictions that are there; None where nothing that can be read is."""
    try:
        return json.loads((task.out / MAKER).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
