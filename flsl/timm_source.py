"""`timm:NAME[.TAG]`: a network by timm's name, its weights from timm's cache or from a file of that name."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flsl.formats import recognize
from flsl.formats.found import Found, drop, tensors_of
from flsl.model_list import cache_folder, find_cached
from flsl.runtime.errors import UserError
from flsl.timm_network import create_network, describe_network, is_plain
from flsl.weights import WeightFile, read_weights

METHODS = {"dinov3": "DINOv3", "lvd1689m": "DINOv3", "dinov2": "DINOv2", "lvd142m": "DINOv2"} | {
    "dino": "DINO", "mae": "MAE", "siglip": "SigLIP", "clip": "CLIP", "beit": "BEiT", "eva": "EVA", "mim": "EVA",
}  # fmt: skip
# What a name says of a plain ViT; the rest comes from the file. A file of another size then does not fit, key by key.
KEPT = (
    "embed_dim", "depth", "patch_size", "num_heads", "norm_eps", "class_token",
    "position_interpolation", "image_mean", "image_std",
)  # fmt: skip


def read_timm(name: str) -> tuple[WeightFile, Found]:
    """Return the weight file of a timm name and what it holds. Never touches the network.

    A plain ViT becomes our encoder, with timm's number of heads, epsilon, normalization constants and resizing of
    positions; anything else stays timm's own network (`flsl.timm_network`).

    Raises:
        UserError: timm does not know the name, or no file is here (the message says where to get it and put it).
    """
    with torch.device("meta"):  # the description is wanted, not random weights
        network = create_network(name)
    full_name = f"{network.pretrained_cfg['architecture']}.{network.pretrained_cfg.get('tag') or ''}".rstrip(".")
    file = read_weights(_find_weights(full_name, network.pretrained_cfg))
    config = describe_network(network, full_name)
    if is_plain(network):
        found = recognize(file)
        found.facts |= {field: getattr(config, field) for field in KEPT}
    else:
        found = _own_network(file, network, config)
    found.format, found.name = f"timm {full_name}", full_name
    found.method = next((method for part, method in METHODS.items() if part in full_name), "Supervised")
    return file, found


def _own_network(file: WeightFile, network: nn.Module, config: Any) -> Found:
    """Take the weights of a network that stays timm's, converted by timm where its family needs that."""
    family = sys.modules[type(network).__module__]
    convert = getattr(family, "checkpoint_filter_fn", None)
    stored = dict(file.tree)
    state = tensors_of(convert(stored, network) if convert else stored)
    state, dropped = drop(state, ("head.", "head_dist."))
    return Found(
        "timm", "timm", {f"network.{key}": value for key, value in state.items()}, dropped=dropped, config=config
    )


def _find_weights(name: str, pretrained: dict[str, Any]) -> Path:
    """Return the file in $FLSL_CACHE, Hugging Face's cache or torch's, in that order."""
    if (own := find_cached(name)) is not None:
        return own
    repository, url = pretrained.get("hf_hub_id"), pretrained.get("url")
    if repository:
        from huggingface_hub import try_to_load_from_cache

        for file in ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin"):
            if isinstance(found := try_to_load_from_cache(repository, file), str):
                return Path(found)
    if url and (path := Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]).is_file():
        return path
    where = f"https://huggingface.co/{repository}/resolve/main/model.safetensors" if repository else url
    if not where:
        raise UserError(f"timm has no pretrained weights for {name}. Choose another tag: timm:NAME.TAG.")
    target = cache_folder() / f"{name}{'.safetensors' if repository else '.pth'}"
    raise UserError(f"timm:{name} is in no cache on this machine. Download {where} and save it as {target}.")
