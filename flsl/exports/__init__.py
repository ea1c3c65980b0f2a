"""Forms of other projects that an encoder can be written in: one file each, the counterpart of `flsl.formats`.

Each target is a function `(loaded, out) -> notes`: it writes `out` and returns how to load it there, and what differs.
"""

from flsl.exports.hugging_face import to_hugging_face
from flsl.exports.pickled import to_mmdet, to_torch
from flsl.exports.timm_folder import to_timm

TARGETS = {"timm": to_timm, "mmdet": to_mmdet, "hf": to_hugging_face, "torch": to_torch}
