"""MAE: {"model": ...} with an encoder, a mask token and a decoder; the published pretrained files hold the encoder only.

The encoder has a class token and fixed sine-cosine positions, which the project's own code resizes to the target size
without antialiasing.
"""

from flsl.formats.found import Found, drop, is_square, is_vit, position_rows, run_arguments, tensors_of
from flsl.position import is_sincos
from flsl.weights import WeightFile

FACTS = {"position_interpolation": "size_plain", "norm_eps": 1e-6}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize an MAE checkpoint: by its decoder, or a headless encoder alone under "model" or with the sine table."""
    state = tensors_of(file.tree.get("model", file.tree))
    if not is_vit(state) or "cls_token" not in state or "pos_embed" not in state:
        return None
    decoder = "decoder_embed.weight" in state
    bare = file.container == "pickle" and not any(key.startswith(("head", "fc_norm", "reg", "dist")) for key in state)
    alone = "model" in file.tree and is_square(position_rows(state) - 1) and "blocks.0.ls1.gamma" not in state
    if not decoder and not (bare and (alone or is_sincos(state["pos_embed"], 1))):
        return None
    names = ["mask_token"] + [key for key in state if key.startswith("decoder_")]
    state, dropped = drop(state, names)
    layout = "MAE with decoder" if decoder else "MAE encoder"
    return Found(layout, "MAE", state, FACTS, dropped, run_arguments(file.tree))
