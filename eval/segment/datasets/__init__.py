"""The data sets of segmentation, each in its own layout, opened by one function.

voc2012       JPEGImages/*.jpg, SegmentationClass/*.png, ImageSets/Segmentation/{train,trainaug,val}.txt; the masks of
              trainaug may be in SegmentationClassAug/
ade20k        images/{training,validation}/*.jpg, annotations/{training,validation}/*.png
coco-things   annotations/instances_SPLIT.json, SPLIT/*.jpg (or images/SPLIT/): any COCO-format instances
coco-stuff    stuffthingmaps/SPLIT/*.png (or annotations/SPLIT/), SPLIT/*.jpg (or images/SPLIT/)
cityscapes    leftImg8bit/SPLIT/CITY/*_leftImg8bit.png, gtFine/SPLIT/CITY/*_gtFine_labelIds.png (or labelTrainIds)
camvid        train/, trainannot/, val/, valannot/, ...
folder        classes.txt (one name per line), images/{train,val}/, masks/{train,val}/*.png of class numbers, 255 = void
"""

from pathlib import Path

from eval.segment.datasets import layouts
from eval.segment.datasets.data import SegmentationData, Split
from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.marker import read_marker
from flsl.runtime.text import shorten

__all__ = ["LAYOUTS", "SegmentationData", "Split", "open_segmentation"]

LAYOUTS = {
    "voc2012": layouts.open_voc,
    "ade20k": layouts.open_ade,
    "coco-things": layouts.open_things,
    "coco-stuff": layouts.open_stuff,
    "cityscapes": layouts.open_cityscapes,
    "camvid": layouts.open_camvid,
    "folder": layouts.open_folder,
}
# Where the archives put a data set inside the folder they are unpacked in.
_INSIDE = ("VOCdevkit/VOC2012", "VOC2012", "ADEChallengeData2016")


def open_segmentation(root: str | Path, layout: str | None = None) -> SegmentationData:
    """Open a data set; no image or mask is read yet.

    Args:
        root: its folder.
        layout: a key of `LAYOUTS`; None finds it by the folders that are there.

    Raises:
        UserError: no such folder, no layout or several fit, or the class list cannot be read.
    """
    root = Path(root)
    if layout is not None and layout not in LAYOUTS:
        raise UserError(unknown_key(f"the layout {layout!r}", layout, LAYOUTS, "layout"))
    if not root.is_dir():
        kind = "is no folder" if root.exists() else "does not exist"
        raise UserError(f"{root} {kind}. Give one that holds a data set of segmentation: {_expected()}.")
    place = next((root / inside for inside in _INSIDE if (root / inside).is_dir()), root)
    fitting = [name for name in LAYOUTS if layouts.fits(name, place)]
    if layout is None and len(fitting) > 1:
        raise UserError(
            f"{place} holds {' and '.join(fitting)}: say which one is meant (--layout {fitting[0]}, or another)."
        )
    chosen = layout or next(iter(fitting), None)
    if chosen is None or chosen not in fitting:
        inside = sorted(path for path in place.iterdir())
        shown = shorten([path.name for path in inside]) or "nothing, it is empty"
        near = [path for path in (place.parent, *inside) if any(layouts.fits(name, path) for name in LAYOUTS)]
        hint = f" Did you mean {near[0]}?" if near else ""
        wanted = _expected([chosen] if chosen else None)
        what = f"is no {chosen}" if chosen else "has none of the known layouts"
        raise UserError(
            f"{place} {what}; found there: {shown}.{hint} Expected: {wanted}. For a try-out, `python -m eval data synthesize "
            "segment DIR` draws data."
        )
    return LAYOUTS[chosen](place, read_marker(place))


def _expected(names: list[str] | None = None) -> str:
    """Say which folders layouts are known by."""
    text = "; ".join(f"{name} ({', '.join(layouts.FOLDERS[name])})" for name in names or LAYOUTS)
    return text.replace("|", " or ")
