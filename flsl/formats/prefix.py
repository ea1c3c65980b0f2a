"""A known layout below a prefix: what a training program, Lightning or torch.compile puts before every name.

Nothing but content tells: wherever a name ends as a ViT's first layer does, what stands before it is tried as a prefix.
"""

from dataclasses import replace
from typing import Any

import torch

from flsl.formats.found import State, inner
from flsl.runtime.errors import UserError
from flsl.weights import WeightFile

FIRST_LAYERS = (
    "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.weight",
    "embeddings.patch_embeddings.weight",
)
MOST = 32  # networks in one file
SHOWN = 60  # characters of a name


def flatten(tree: dict[Any, Any], before: str = "") -> State:
    """Return the tensors of nested dictionaries under dotted names, which begin with `before`."""
    found: State = {}
    for key, value in tree.items():
        if isinstance(key, str) and isinstance(value, dict):
            found |= flatten(value, f"{before}{key}.")
        elif isinstance(key, str) and isinstance(value, torch.Tensor):
            found[before + key] = value
    return found


def list_prefixes(file: WeightFile, state: State, wanted: str | None) -> list[str]:
    """Return the prefixes, each with its final dot, below which a network begins; with `wanted` those that it means.

    `wanted` may leave out the final dot, and the dictionaries around the state dict (`net` for `state_dict.net.`).

    Raises:
        UserError: more networks than any training keeps, or none below `wanted`.
    """
    ends = tuple(f".{layer}" for layer in FIRST_LAYERS)
    found = [key.removesuffix(end) + "." for key in state for end in ends if key.endswith(end)]
    found = list(dict.fromkeys(found))
    if len(found) > MOST:
        raise UserError(f"checkpoint {file.path} holds {len(found)} networks that begin as a ViT does; save one alone")
    if wanted is None:
        return found
    asked = wanted.strip(".") + "."
    meant = [name for name in found if name == asked] or [name for name in found if name.endswith(f".{asked}")]
    if not meant:
        raise UserError(f"--prefix {shorten(wanted)}: checkpoint {file.path} has no ViT there; {listed(found)}")
    return meant


def below(file: WeightFile, state: State, prefix: str) -> WeightFile:
    """Return a file as if it held what is below a prefix alone.

    It counts as safetensors: that a bare ViT in a pickle is DINO's own file is no guess for somebody else's wrapper.
    """
    return replace(file, tree=dict(inner(state, prefix)), container="safetensors", metadata={})


def listed(prefixes: list[str]) -> str:
    """Return prefixes as the end of a message."""
    names = ", ".join(shorten(name.rstrip(".")) for name in prefixes)
    return f"there are ViTs below {names}" if names else "there is a ViT below no prefix"


def shorten(name: str) -> str:
    """Return a name, or the beginning and end of one that is too long to read."""
    return name if len(name) <= SHOWN else f"{name[: SHOWN // 2]}...{name[-SHOWN // 3 :]}"
