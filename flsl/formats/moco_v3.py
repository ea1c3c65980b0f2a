"""MoCo v3: {"arch", "state_dict", ...} with `module.base_encoder.`, `module.momentum_encoder.` and a predictor.

The linear classifier is trained on the base encoder, so that is the default branch. Its ViT-S has 12 heads of width
32, unlike everybody else's. Positions are a fixed sine table whose first half follows the rows, not the columns.
"""

from flsl.formats.found import Found, drop, inner, is_vit, run_arguments, tensors_of
from flsl.runtime.errors import UserError
from flsl.weights import WeightFile

FACTS = {"position_interpolation": "size", "position_embedding": "fixed", "norm_eps": 1e-6}
BRANCHES = ("base_encoder", "momentum_encoder")


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a MoCo v3 checkpoint."""
    everything = tensors_of(file.tree.get("state_dict", file.tree))
    everything = {key.removeprefix("module."): value for key, value in everything.items()}
    sides = {name: inner(everything, f"{name}.") for name in BRANCHES}
    if not any(is_vit(side) for side in sides.values()):
        return None
    chosen = branch or next(name for name, side in sides.items() if side)
    if not is_vit(sides.get(chosen, {})):
        raise UserError(f"checkpoint {file.path} has no ViT as branch {chosen!r}; choose from {', '.join(BRANCHES)}")
    state, unused = drop(sides[chosen], ("head.",))
    unused = [f"{chosen}.{key}" for key in unused] + [key for key in everything if not key.startswith(f"{chosen}.")]
    width, run = next(iter(state["patch_embed.proj.weight"].shape), 0), run_arguments(file.tree)
    if isinstance(file.tree.get("arch"), str):
        run["arch"] = file.tree["arch"]
    small = width == 384 or (run.get("arch") == "vit_small" and width % 64 and width % 12 == 0)
    facts = FACTS | ({"num_heads": 12} if small else {})
    return Found("MoCo v3 training checkpoint", "MoCo-v3", state, facts, unused, run, branch=chosen)
