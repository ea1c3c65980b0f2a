"""What the finished cells of a study's folder were made of, so that other data under the same names are noticed."""

import json
from pathlib import Path

from flsl.runtime.errors import UserError
from flsl.runtime.files import IMAGES, digest_of_files, list_files, sha256_of_file, write_text
from results.study.declaration import Study

FILES = {*IMAGES, ".json", ".txt", ".xml"}  # what data consist of: pictures, masks, annotations, lists


def require_same(study: Study, data: Path, out: Path) -> None:
    """Hold that data and floors are what they were when the cells below `out` were begun, and write down what is new.

    Raises:
        UserError: something of that name is another now.
    """
    path = out / "made_of.json"
    try:
        known: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:
        raise UserError(f"{path} is damaged: nobody can tell what the cells beside it were made of.") from None
    now: dict[str, str] = {}
    for name in {*study.pretraining, *(evaluation.data for evaluation in (*study.selection, *study.tests))}:
        now[str(name)] = digest_of_files(data / name, list_files(data / name, FILES), contents=False)
    for checkpoint in study.floors.values():
        if Path(checkpoint).is_file():
            now[checkpoint] = sha256_of_file(checkpoint)
    for name, digest in now.items():
        if known.get(name, digest) != digest:
            raise UserError(
                f"{name} holds other files than when {out} was begun: its finished cells tell of the old ones. Choose another --out, "
                "or put the old ones back."
            )
    if now.items() - known.items():
        write_text(path, json.dumps(known | now, indent=1, sort_keys=True) + "\n")
