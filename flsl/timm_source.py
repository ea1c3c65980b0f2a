"""`timm:NAME[.TAG]`: a network by timm's name, its weights from timm's cache or from a file of that name."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flsl import hub
from flsl.formats import recognize
from flsl.formats.found import Found, drop, tensors_of
from flsl.model_list import cache_folder, find_cached
from flsl.runtime.errors import UserError
from flsl.timm_network import create_network, describe_network, is_plain
from flsl.weights import WeightFile, read_weights

METHODS = {  # the first that is part of a name
    "dinov3": "DINOv3", "lvd1689m": "DINOv3", "reg4_dinov2": "DINOv2 with registers", "dinov2": "DINOv2", "lvd142m": "DINOv2",
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
    network, full_name = _describe(name)
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


def _describe(name: str) -> tuple[Any, str]:
    """Return timm's network without weights, and its name with the tag of its weights."""
    with torch.device("meta"):  # the description is wanted, not random weights
        network = create_network(name)
    tag = network.pretrained_cfg.get("tag") or ""
    return network, f"{network.pretrained_cfg['architecture']}.{tag}".rstrip(".")


def locate_timm(name: str, *, download: bool = False) -> Path:
    """Return the weight file of a timm name on this machine; with `download`, fetch it from the Hub first.

    Raises:
        UserError: as `read_timm`; or it is not on the Hub, or cannot be fetched.
    """
    network, full_name = _describe(name)
    repository = network.pretrained_cfg.get("hf_hub_id")
    if download and repository and find_cached(full_name) is None:
        hub.download(repository)
    return _find_weights(full_name, network.pretrained_cfg)


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
    if repository and (found := hub.find_cached(repository)) is not None:
        return found
    if url and (path := Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]).is_file():
        return path
    where = f"https://huggingface.co/{repository}/resolve/main/model.safetensors" if repository else url
    if not where:
        raise UserError(f"timm has no pretrained weights for {name}. Choose another tag: timm:NAME.TAG.")
    target = cache_folder() / f"{name}{'.safetensors' if repository else '.pth'}"
    how = f"Run `python -m flsl models timm:{name} --download`, or download" if repository else "Download"
    raise UserError(f"timm:{name} is in no cache on this machine. {how} {where} and save it as {target}.")
