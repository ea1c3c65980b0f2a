"""Tables that an evaluation writes beside its record."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flsl.runtime.files import write_text


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows with the same keys as CSV, numbers at full precision; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return write_text(path, text.getvalue())
