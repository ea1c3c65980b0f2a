"""Checkpoint layouts: one file each. A new file here that defines `read` adds a format; nothing else changes.

`read(file: WeightFile, branch: str | None) -> Found | None` looks at the content alone, returns None for anything that
is not its own, and renames what is its own to our names (those of timm's VisionTransformer). Sizes come from the
tensors' shapes afterwards; a format states only what shapes cannot tell. A format that would also fit files which
others know better sets `FALLBACK = True`. A file that no format knows is tried below each prefix that its names have.
"""

import pkgutil
from importlib import import_module
from types import ModuleType

from flsl.formats.found import Found, run_arguments
from flsl.formats.prefix import below, flatten, list_prefixes, listed
from flsl.formats.student_teacher import lacking
from flsl.runtime.errors import UserError
from flsl.runtime.text import shorten
from flsl.weights import WeightFile


def formats() -> dict[str, ModuleType]:
    """Return the modules that define a format, by name."""
    modules = {info.name: import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)}
    return {name: module for name, module in modules.items() if hasattr(module, "read")}


def recognize(file: WeightFile, branch: str | None = None, prefix: str | None = None) -> Found:
    """Return what the one format that knows this layout makes of it.

    Args:
        file: what was read.
        branch: the network that is wanted, where a format knows several.
        prefix: below which names to look; None looks at the file as it is and then below every prefix.

    Raises:
        UserError: no format knows it (the message tells what is inside), it lacks the wanted `branch` or `prefix`, networks
            of a known layout are below several prefixes (all are named), or its student is one and its teacher is not.
    """
    result = _read(file, branch) if prefix is None else None
    result = result or _read_below(file, branch, prefix)
    if result is None:
        raise UserError(_unknown(file))
    if branch is not None and result.branch is None:
        raise UserError(f"checkpoint {file.path} ({result.format}) holds one network: it has no branch {branch!r}")
    return result


def _read(file: WeightFile, branch: str | None) -> Found | None:
    """Ask all formats."""
    found: dict[str, Found] = {}
    for fallback in (False, True):  # the plain ViT of timm's names would claim what DINO, MAE, ... know better
        modules = {name: m for name, m in formats().items() if getattr(m, "FALLBACK", False) is fallback}
        found = found or {name: result for name, m in modules.items() if (result := m.read(file, branch)) is not None}
    if len(found) > 1:
        raise UserError(f"checkpoint {file.path} fits several formats ({', '.join(found)}); save its encoder alone")
    return next(iter(found.values()), None)


def _read_below(file: WeightFile, branch: str | None, wanted: str | None) -> Found | None:
    """Ask all formats about what is below each prefix."""
    state = flatten(file.tree)
    candidates = {name: _read(below(file, state, name), branch) for name in list_prefixes(file, state, wanted)}
    found = {name: result for name, result in candidates.items() if result is not None}
    if len(found) > 1:
        raise UserError(f"checkpoint {file.path}: {listed([*found])}. Choose one with --prefix, or FILE?prefix=NAME.")
    if wanted is None and found and (missing := lacking(file.tree, *found)):
        way = "--branch student" if _read(file, "student") else f"--prefix {next(iter(found)).rstrip('.')}"
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise UserError(
            f"checkpoint {file.path}: its teacher, the encoder that counts, lacks {shown}. Get the file again, or take its student "
            f"with {way}."
        )
    for name, result in found.items():
        result.dropped = result.dropped + [key for key in state if not key.startswith(name)]
        result.pretraining |= run_arguments(file.tree) | {"prefix": name.rstrip(".")}
    return next(iter(found.values()), None)


def _unknown(file: WeightFile) -> str:
    """Say what an unrecognized file holds."""
    keys = list(_names(file.tree))
    what = ""
    if any("layer1.0.conv1" in key or "bn1.running_mean" in key for key in keys):
        what = "It looks like a ResNet. "
    elif any("relative_position_bias_table" in key for key in keys):
        what = "It looks like a BEiT or Swin transformer, whose positions are relative. "
    return (
        f"checkpoint {file.path} holds no ViT encoder of a known layout. {what}It has {len(keys)} entries: "
        f"{shorten(keys) or 'none'}. Known layouts: {', '.join(formats())}; expected names such as "
        "patch_embed.proj.weight and blocks.0.attn.qkv.weight."
    )


def _names(tree: dict, prefix: str = "") -> list[str]:
    """Return the dotted names of all leaves of nested dictionaries."""
    names = []
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            names += _names(value, f"{prefix}{key}.")
        else:
            names.append(f"{prefix}{key}")
    return names
