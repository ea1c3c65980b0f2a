"""Box files of ImageNet and Pascal VOC: one XML an image, with `<object>` elements of a name and a box."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from flsl.runtime.errors import UserError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_box_file(file: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the boxes (n, 4) left, top, right, bottom as they are written, and the class name of each.

    The file's own `<size>` is not read: it is wrong for some images.

    Raises:
        UserError: it is not there, no XML, or an object lacks its name or a corner, or has one that is no finite number.
    """
    try:
        if not file.is_file():  # a named pipe would be waited for
            raise ValueError("there is no such file")
        objects = ElementTree.parse(file).getroot().findall("object")
        boxes = np.array([[float(_text(entry, f"bndbox/{corner}")) for corner in CORNERS] for entry in objects])
        if not np.isfinite(boxes).all():
            raise ValueError("a corner is no finite number")
        classes = tuple(_text(entry, "name") for entry in objects)
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as error:
        raise UserError(
            f"{file} is not a box file: expected <object> elements with <name> and <bndbox> {', '.join(CORNERS)} "
            f"({error}). Unpack the official archive again."
        ) from error
    return boxes.reshape(-1, 4), classes


def _text(entry: ElementTree.Element, path: str) -> str:
    """Return what stands at a place below an XML element; ValueError if there is nothing."""
    text = entry.findtext(path)
    if not text:
        raise ValueError(f"an <{entry.tag}> lacks {path}")
    return text.strip()
