"""timm's VisionTransformer, DeiT's files and anything else with the same names: the fallback for plain ViTs.

Positions are resized to the target size with antialiasing, as timm does. Whether class and register tokens have rows in
the position table follows from their number. A timm config.json beside the file names the network: heads, the norms'
epsilon and the image normalization are then its own.
"""

import torch

from flsl.formats.found import Found, drop, is_vit, rename, run_arguments, tensors_of
from flsl.runtime.errors import UserError
from flsl.timm_network import create_network, describe_network, is_plain
from flsl.weights import WeightFile

FALLBACK = True  # asked only where no other format knows the file
HEADS = ("head.", "head_dist.", "fc_norm.", "pre_logits.", "attn_pool.", "mask_token")
NAMES = {".gamma_1": ".ls1.gamma", ".gamma_2": ".ls2.gamma", "dist_token": "reg_token"}


def read(file: WeightFile, branch: str | None) -> Found | None:
    """Recognize a plain ViT."""
    state = tensors_of(file.tree)
    if not is_vit(state):
        return None
    state, dropped = drop(state, HEADS)
    return Found("timm", "timm", rename(state, NAMES), _facts(file), dropped, run_arguments(file.tree))


def _facts(file: WeightFile) -> dict[str, object]:
    """Return what shapes cannot tell: timm's usual values, or those of the network that config.json names."""
    facts: dict[str, object] = {"position_interpolation": "size", "norm_eps": 1e-6}
    name, arguments = file.config.get("architecture"), file.config.get("model_args") or {}
    if not isinstance(arguments, dict):
        raise UserError(
            f"checkpoint {file.path}: model_args of config.json must be an object, but is {arguments!r:.80}"
        )
    if name is not None:
        arguments |= {"depth": 1} if "depth" in arguments else {}  # what is asked is the same in all blocks
        try:
            with torch.device("meta"):  # its description is wanted, not its weights
                network = create_network(str(name), **arguments)
        except UserError as error:
            raise UserError(
                f"{file.path.with_name('config.json')}: architecture must be a ViT that timm can build, but is {name!r:.80}: "
                f"{error} Correct it, or move the file away: heads of 64 and an epsilon of 1e-6 are then taken."
            ) from error
        if not is_plain(network):
            raise UserError(f"checkpoint {file.path}: config.json names timm's {name}, no plain ViT. Use timm:{name}.")
        facts |= {key: getattr(describe_network(network, str(name)), key) for key in ("num_heads", "norm_eps")}
    pretrained = file.config.get("pretrained_cfg")
    for field, key in (("image_mean", "mean"), ("image_std", "std")):
        if isinstance(pretrained, dict) and isinstance(pretrained.get(key), list) and len(pretrained[key]) == 3:
            facts[field] = tuple(pretrained[key])
    return facts
