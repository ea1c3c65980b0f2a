"""The marker file of drawn data, by which every program tells them from real ones."""

import json
from pathlib import Path
from typing import Any

from flsl.runtime.errors import UserError

MARKER = "dataset.json"
UNFINISHED = "dataset.unfinished.json"


def read_marker(root: Path) -> dict[str, Any] | None:
    """Return the content of `root`'s marker file, None where there is none (real data).

    Raises UserError if the synthesis was interrupted, or the marker is not JSON or lacks its name, a text.
    """
    path = root / MARKER
    if not path.is_file():
        if (root / UNFINISHED).is_file():
            raise UserError(
                f"{root} holds an interrupted synthesis ({UNFINISHED}, no {MARKER}). Run the same "
                "`python -m eval data synthesize` command again: it draws the folder anew."
            )
        return None
    try:
        marker = json.loads(path.read_text())
        marker["name"].strip()[0]
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise UserError(f"{path} is not a marker file of synthetic data. Delete it if the data are real.") from error
    return marker
