"""Checkpoints: write our own encoder file, and load any encoder that a command line names."""

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flsl.architecture import EncoderConfig, named
from flsl.encoder import Encoder
from flsl.formats import recognize
from flsl.formats.found import Found
from flsl.formats.own import FORMAT
from flsl.infer import infer_config
from flsl.pixels import PixelEncoder
from flsl.position import is_plain
from flsl.runtime.errors import UserError
from flsl.runtime.schema import parse
from flsl.runtime.text import number_of, shorten
from flsl.source import Overrides, locate, split_spec, stem_of
from flsl.timm_source import read_timm
from flsl.weight_file import write_safetensors
from flsl.weights import read_weights


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder with proof of what was loaded."""

    encoder: Encoder
    name: str
    method: str
    source: str
    file_sha256: str | None = None
    pretraining: dict[str, Any] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)  # keys left out on purpose
    warnings: list[str] = field(default_factory=list)
    format: str = "own"  # layout of the file

    @cached_property
    def fingerprint(self) -> str:
        """What tells this encoder from others, taken once: `identify`."""
        return identify(self.encoder)

    def model_fields(self, name: str | None = None) -> dict[str, Any]:
        """Return the fields of a record's model section; `name` replaces the checkpoint's own."""
        return {
            "name": name or self.name,
            "method": self.method,
            "architecture": self.encoder.config.name.split("/")[0],
            "patch_size": self.encoder.patch_size,
            "parameters": sum(p.numel() for p in self.encoder.parameters()),
            "fingerprint": self.fingerprint,
            "file_sha256": self.file_sha256,
            "source": self.source,
            "pretraining": self.pretraining | {"format": self.format, "dropped": summarize(self.dropped)},
        }


def fingerprint(weights: nn.Module | dict[str, torch.Tensor]) -> str:
    """Return the sha256 over an encoder's tensors (names, shapes and float32 bytes, sorted by name)."""
    state = weights.state_dict() if isinstance(weights, nn.Module) else weights
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def identify(encoder: Encoder) -> str:
    """Return what tells an encoder from others: the `fingerprint` of its tensors, and, where it is not the usual, what else
    makes its features (heads, how positions are resized, how images are normalized, the norms' epsilon)."""
    proof, more = fingerprint(encoder), encoder.config.beyond_weights()
    return hashlib.sha256(f"{proof} {json.dumps(more)}".encode()).hexdigest() if more else proof


def summarize(keys: list[str]) -> list[str]:
    """Shorten a list of tensor names: those that share their first two parts become `student.head.* (14)`."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(".".join(key.split(".")[:2]), []).append(key)
    return [names[0] if len(names) == 1 else f"{group}.* ({len(names)})" for group, names in groups.items()]


def save_encoder(
    encoder: Encoder, path: str | Path, *, method: str, name: str, pretraining: dict[str, Any] | None = None
) -> Path:
    """Write an encoder as safetensors with JSON metadata (architecture, patch, positions, method, training), atomically.

    Raises:
        UserError: the disk refuses; a previous file of that name stays intact. Or there are no weights (`pixels/16`).
    """
    require_weights(encoder)
    metadata = {
        "format": FORMAT,
        "format_version": "1",
        "name": name,
        "method": method,
        "encoder": json.dumps(encoder.config.to_dict()),
        "pretraining": json.dumps(pretraining or {}),
        "versions": json.dumps({package: version(package) for package in ("torch", "timm", "safetensors")}),
    }
    return write_safetensors(path, encoder.state_dict(), metadata)


def require_weights(encoder: Encoder) -> None:
    """Raise UserError where an encoder has no weights that could be saved."""
    if isinstance(encoder, PixelEncoder):
        raise UserError(f"{encoder.config.name} is no network: it has no weights to save")


def load_encoder(
    spec: str | Path, device: str | torch.device = "cpu", seed: int = 0, overrides: Overrides | None = None
) -> LoadedEncoder:
    """Load the encoder that `spec` names.

    Args:
        spec: a checkpoint of any known layout (recognized by content), a name of the model list, `hf:ORG/NAME`, `timm:NAME`,
            `random:ARCHITECTURE/PATCH` (an untrained baseline, drawn by `seed`), or `pixels/PATCH` (color and place, no
            network). `SPEC?heads=8&branch=student` changes what the file says: see `flsl.source.Overrides`.
        device: where the encoder goes.
        seed: of a random encoder.
        overrides: the same as the options of `spec`, which come before them.

    Returns:
        The encoder in eval mode, float32, on `device`, with what is known of its origin.

    Raises:
        UserError: no such file, not a checkpoint of a known kind, keys that do not fit (all are listed), or an option that it
            cannot follow.
    """
    location, options = split_spec(str(spec))
    options = options.over(overrides)
    if location.startswith(("random:", "timm:")) and (options.branch or options.prefix):
        raise UserError(f"--checkpoint {location} is one network: it has neither a branch nor a prefix to choose")
    if location.startswith("random:"):
        loaded = _random_encoder(location, seed, options)
    elif location.startswith("pixels/") and not os.path.exists(location):
        loaded = _pixel_encoder(location, options)
    else:
        loaded = _read(location, options)
    loaded.encoder.eval().to(device)
    return loaded


def _random_encoder(spec: str, seed: int, options: Overrides) -> LoadedEncoder:
    """Build the untrained baseline that `random:vit_small/16` names, with weights fixed by the seed."""
    architecture, _, digits = spec.removeprefix("random:").partition("/")
    patch = number_of(digits)
    if patch is None:
        raise UserError(f"--checkpoint {spec}: expected random:ARCHITECTURE/PATCH, e.g. random:vit_small/16")
    section = {"architecture": architecture, "patch_size": patch}
    config, warnings = _override(parse(EncoderConfig, section, f"--checkpoint {spec}"), options, spec)
    return replace(untrained(config, seed), source=spec, warnings=warnings)


def untrained(config: EncoderConfig, seed: int = 0, device: str | torch.device = "cpu") -> LoadedEncoder:
    """Return the untrained baseline of any network, with weights fixed by the seed, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder(config)
    encoder.eval().to(device)
    return LoadedEncoder(encoder, f"random {config.name}", method="random", source="untrained", format="random")


def _pixel_encoder(spec: str, options: Overrides) -> LoadedEncoder:
    """Return the baseline without a network that `pixels/16` names."""
    patch = number_of(spec.removeprefix("pixels/"))
    if not (patch and patch <= 1024) or options != Overrides():
        raise UserError(f"--checkpoint {spec}: expected pixels/PATCH, e.g. pixels/16, and nothing to override")
    name = f"{spec} (color and place, no network)"
    return LoadedEncoder(PixelEncoder(patch), name, method="pixels", source=spec, format="pixels")


def _read(location: str, options: Overrides) -> LoadedEncoder:
    """Read a checkpoint file, whatever its layout."""
    if location.startswith("timm:"):
        file, found = read_timm(location.removeprefix("timm:"))
    else:
        path, listed = locate(location)
        file = read_weights(path)
        found = recognize(file, options.branch, options.prefix)
        if listed is not None:
            found.name, found.method = listed.name, listed.method
            found.pretraining |= {"paper": listed.paper, "license": listed.license}
    odd = [
        f"{key} ({'no data' if value.is_meta else f'{value.dtype}, {value.layout}'})"
        for key, value in found.state.items()
        if not (value.is_floating_point() and is_plain(value))
    ]
    if odd:
        raise UserError(
            f"{file.path}: tensors that are no plain real numbers: {shorten(odd, 10)}. Save them as float32."
        )
    state = {key: value.to(torch.float32) for key, value in found.state.items()}
    config, warnings = _describe(found, state, options, str(file.path))
    with torch.device("meta"):  # every tensor comes from the file: none is drawn first
        encoder = Encoder(config)
    if config.timm_model is not None:  # it also computes some that no file holds
        require_fit(encoder, state, str(file.path))  # or a description alone could ask for all memory
        encoder = Encoder(config)
    load_strictly(encoder, state, str(file.path))
    bad = [key for key, value in state.items() if not value.isfinite().all()]
    if bad:
        raise UserError(f"{file.path}: tensors with NaN or infinite numbers, a run that diverged: {shorten(bad, 10)}")
    return LoadedEncoder(
        encoder,
        name=found.name or stem_of(location),
        method=found.method,
        source=location,
        file_sha256=file.sha256,
        pretraining=found.pretraining | ({"branch": found.branch} if found.branch else {}),
        dropped=found.dropped,
        warnings=warnings,
        format=found.format,
    )


def _describe(
    found: Found, state: dict[str, torch.Tensor], options: Overrides, what: str
) -> tuple[EncoderConfig, list[str]]:
    """Return the encoder's description after overrides, and the warnings that it deserves."""
    config = found.config or infer_config(state, found.facts, what, options.num_heads)
    config, warnings = _override(config, options, what)
    if (config.image_mean, config.image_std) != (EncoderConfig.image_mean, EncoderConfig.image_std):
        warnings.append(
            f"pretrained with images normalized by mean {config.image_mean} and std {config.image_std}, not ImageNet's; "
            "a protocol that fixes its constants feeds it others"
        )
    return config, warnings


def _override(config: EncoderConfig, options: Overrides, what: str) -> tuple[EncoderConfig, list[str]]:
    """Apply what the user insists on; each change is a warning in the record."""
    changes = options.changes(config)
    warnings = [f"{key} overridden: {new} instead of {getattr(config, key)}" for key, new in changes.items()]
    if changes:
        fields = config.to_dict() | changes
        size = named(config.embed_dim, config.depth, fields["num_heads"])
        config = parse(EncoderConfig, {**fields, "architecture": changes.get("architecture", size)}, f"{what}: encoder")
    return config, warnings


def load_strictly(module: nn.Module, state: dict[str, torch.Tensor], what: str) -> None:
    """Load a state dict whose keys and shapes must match exactly; raises what `require_fit` does."""
    require_fit(module, state, what)
    on_meta = any(tensor.is_meta for tensor in module.state_dict().values())
    module.load_state_dict(state, strict=True, assign=on_meta)


def require_fit(module: nn.Module, state: dict[str, torch.Tensor], what: str) -> None:
    """Raise UserError, listing every missing, unexpected and mis-shaped key, unless a state dict is a module's."""
    own = module.state_dict()
    problems = [f"missing {key}" for key in own if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in own]
    problems += [
        f"{key} has shape {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if problems:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise UserError(f"{what}: the weights do not fit the encoder: {shown}")
