"""Small data sets in the layouts of Pascal VOC and COCO 20k."""

import shutil

import numpy as np
from PIL import Image


def voc(root, names, box=(3, 5, 40, 30), extra=""):
    """Write Pascal VOC's layout with one object a picture."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    corners = "".join(f"<{name}>{value}</{name}>" for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box))
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    for name in names:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)).save(
            root / f"JPEGImages/{name}.jpg"
        )
        (root / f"Annotations/{name}.xml").write_text(
            f"<annotation><object><name>dog</name><difficult>1</difficult>{part}<bndbox>{corners}</bndbox>{extra}</object></annotation>"
        )
    (root / "ImageSets/Main/trainval.txt").write_text("\n".join(names) + "\n")
    return root


def coco_20k(root, data):
    """Write COCO 20k's layout: six of nine pictures are listed."""
    shutil.copytree(data / "val2017", root / "train2014")
    (root / "annotations").mkdir()
    shutil.copy(data / "annotations/instances_val2017.json", root / "annotations/instances_train2014.json")
    names = sorted(path.name for path in (root / "train2014").iterdir())[:6]
    (root / "coco_20k_filenames.txt").write_text("\n".join(f"train2014/{name}" for name in names))
    return root
