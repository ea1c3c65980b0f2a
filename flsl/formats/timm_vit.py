"""timm's VisionTransformer, DeiT's files and anything else with the same names: the fallback for plain ViTs.

Positions are resized to the target size with antialiasing, as timm does. Whether class and register tokens have rows in
the position table follows from their number.
"""

from flsl.formats.found import Found, State, drop, is_vit, rename, run_arguments, tensors_of
from flsl.weights import WeightFile

FALLBACK = True  # asked only where no other format knows the file
HEADS = ("head.", "head_dist.", "fc_norm.", "pre_logits.", "attn_pool.", "mask_token")
NAMES = {".gamma_1": ".ls1.gamma", ".gamma_2": ".ls2.gamma", "dist_token": "reg_token"}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognise a plain ViT: flat, or under "model", "model_ema" or "state_dict"."""
    for state in (tensors_of(file.tree), *(tensors_of(file.tree.get(key)) for key in ("model", "state_dict"))):
        state = {key.removeprefix("module.").removeprefix("backbone."): value for key, value in state.items()}
        if is_vit(state):
            state, dropped = drop(state, HEADS)
            return Found("timm", "timm", rename(state, NAMES), _facts(file, state), dropped, run_arguments(file.tree))
    return None


def _facts(file: WeightFile, state: State) -> dict[str, object]:
    """Return timm's way with positions, and the normalisation that a timm config.json beside the file states."""
    facts: dict[str, object] = {"position_interpolation": "size", "norm_eps": 1e-6}
    pretrained = file.config.get("pretrained_cfg")
    if isinstance(pretrained, dict):
        for field, key in (("image_mean", "mean"), ("image_std", "std")):
            if isinstance(pretrained.get(key), list) and len(pretrained[key]) == 3:
                facts[field] = tuple(pretrained[key])
    return facts
