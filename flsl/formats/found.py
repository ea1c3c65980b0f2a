"""What a format hands back, and the few operations on state dicts that all formats share."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from flsl.architecture import EncoderConfig

State = dict[str, torch.Tensor]


@dataclass
class Found:
    """An encoder's tensors under our names, and what the format knows beyond their shapes."""

    format: str  # layout, e.g. "DINO training checkpoint"
    method: str  # for the record, e.g. "DINO"
    state: State
    facts: dict[str, Any] = field(default_factory=dict)  # EncoderConfig fields
    dropped: list[str] = field(default_factory=list)  # keys left out on purpose
    pretraining: dict[str, Any] = field(default_factory=dict)
    branch: str | None = None  # which network of the file, where it holds several
    name: str | None = None
    config: EncoderConfig | None = None  # whole, where the file brings it


def tensors_of(tree: Any) -> State:
    """Return the tensors directly inside a dictionary; {} if it is none."""
    if not isinstance(tree, dict):
        return {}
    return {key: value for key, value in tree.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}


def is_vit(state: State) -> bool:
    """Tell whether a state dict has the names that DINO, MAE, timm, ... share for a plain ViT."""
    return "patch_embed.proj.weight" in state and "blocks.0.attn.qkv.weight" in state


def inner(state: State, prefix: str) -> State:
    """Return the entries whose name starts with a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def drop(state: State, names: Iterable[str]) -> tuple[State, list[str]]:
    """Take entries out by name, or by prefix where a name ends in a dot; returns the rest and what was dropped."""
    names = tuple(names)
    gone = [key for key in state if any(key == n or (n.endswith(".") and key.startswith(n)) for n in names)]
    return {key: value for key, value in state.items() if key not in gone}, gone


def rename(state: State, changes: dict[str, str]) -> State:
    """Replace parts of names, in the order given."""
    renamed = {}
    for key, value in state.items():
        for old, new in changes.items():
            key = key.replace(old, new)
        renamed[key] = value
    return renamed


def is_square(number: int) -> bool:
    """Tell whether a number of tokens fills a square grid."""
    return number > 0 and round(number**0.5) ** 2 == number


def position_rows(state: State) -> int:
    """Return the number of rows of the position table; 0 if there is none."""
    return state["pos_embed"].shape[1] if "pos_embed" in state and state["pos_embed"].dim() == 3 else 0


def run_arguments(tree: dict[str, Any]) -> dict[str, Any]:
    """Return what a training checkpoint tells of its run: epoch, architecture, data, ... as plain values."""
    arguments = tree.get("args")
    known = vars(arguments) if hasattr(arguments, "__dict__") else arguments if isinstance(arguments, dict) else {}
    kept = {key: known[key] for key in ("arch", "model", "patch_size", "epochs", "seed") if key in known}
    if isinstance(tree.get("epoch"), int):
        kept["epoch"] = tree["epoch"]
    return {key: value for key, value in kept.items() if isinstance(value, (str, int, float, bool))}


def join_qkv(state: State, query: str = "query", key: str = "key", value: str = "value") -> State:
    """Concatenate each block's query, key and value into timm's `attn.qkv`."""
    joined = {}
    for name, tensor in state.items():
        if f".attn.{query}." in name:
            parts = [state.get(name.replace(f".{query}.", f".{part}.")) for part in (query, key, value)]
            fitting = [part for part in parts if part is not None and part.shape == tensor.shape]
            joined[name.replace(f".{query}.", ".qkv.")] = torch.cat(fitting) if tensor.dim() else tensor
        elif not any(f".attn.{part}." in name for part in (key, value)):
            joined[name] = tensor
    return joined
