"""Checkpoints: write our own encoder file, and load any encoder that a command line names."""

import hashlib
import json
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from flsl.architecture import EncoderConfig
from flsl.config import parse_section
from flsl.encoder import Encoder, build_encoder
from flsl.errors import UserError
from flsl.files import sha256_of_file, write_atomic

FORMAT = "flsl-encoder"


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

    def model_fields(self, name: str | None = None) -> dict[str, Any]:
        """Return the fields of a record's model section; `name` replaces the checkpoint's own."""
        return {
            "name": name or self.name,
            "method": self.method,
            "architecture": self.encoder.config.name.split("/")[0],
            "patch_size": self.encoder.patch_size,
            "parameters": sum(p.numel() for p in self.encoder.parameters()),
            "fingerprint": fingerprint(self.encoder),
            "file_sha256": self.file_sha256,
            "source": self.source,
            "pretraining": self.pretraining,
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


def save_encoder(
    encoder: Encoder, path: str | Path, *, method: str, name: str, pretraining: dict[str, Any] | None = None
) -> Path:
    """Write an encoder as safetensors with JSON metadata (architecture, patch, positions, method, training), atomically.

    Raises:
        UserError: the disk refuses; a previous file of that name stays intact.
    """
    metadata = {
        "format": FORMAT,
        "format_version": "1",
        "name": name,
        "method": method,
        "encoder": json.dumps(encoder.config.to_dict()),
        "pretraining": json.dumps(pretraining or {}),
        "versions": json.dumps({package: version(package) for package in ("torch", "timm", "safetensors")}),
    }
    state = {key: value.detach().cpu().contiguous() for key, value in encoder.state_dict().items()}
    return write_atomic(path, lambda temporary: save_file(state, temporary, metadata=metadata))


def load_encoder(spec: str | Path, device: str | torch.device = "cpu", seed: int = 0) -> LoadedEncoder:
    """Load the encoder that `spec` names: a checkpoint file, or `random:ARCHITECTURE/PATCH` (an untrained baseline).

    Returns:
        The encoder in eval mode, float32, on `device`, with what is known of its origin.

    Raises:
        UserError: no such file, not a checkpoint of a known kind, or keys that do not fit (all are listed).
    """
    if str(spec).startswith("random:"):
        loaded = _random_encoder(str(spec), seed)
    else:
        loaded = _read_own(Path(spec))
    loaded.encoder.eval().to(device)
    return loaded


def _random_encoder(spec: str, seed: int) -> LoadedEncoder:
    """Build the untrained baseline that `random:vit_small/16` names, with weights fixed by the seed."""
    architecture, _, patch = spec.removeprefix("random:").partition("/")
    if not patch.isdigit():
        raise UserError(f"--checkpoint {spec}: expected random:ARCHITECTURE/PATCH, e.g. random:vit_small/16")
    section = {"architecture": architecture, "patch_size": int(patch)}
    config = parse_section(EncoderConfig, section, f"--checkpoint {spec}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = build_encoder(config)
    return LoadedEncoder(encoder, name=f"random {config.name}", method="random", source=spec)


def _read_own(path: Path) -> LoadedEncoder:
    """Read a file that `save_encoder` wrote."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(
            f"checkpoint {path} {what}. Give a file such as RUN/encoder.safetensors, or random:vit_small/16 "
            "for the untrained baseline."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"checkpoint {path} is not a readable safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise UserError(f"checkpoint {path} is a safetensors file, but not one that this project wrote")
    config = parse_section(EncoderConfig, json.loads(metadata["encoder"]), f"{path}: encoder")
    encoder = build_encoder(config)
    load_strictly(encoder, state, str(path))
    return LoadedEncoder(
        encoder,
        name=metadata["name"],
        method=metadata["method"],
        source=str(path),
        file_sha256=sha256_of_file(path),
        pretraining=json.loads(metadata["pretraining"]),
    )


def load_strictly(module: nn.Module, state: dict[str, torch.Tensor], what: str) -> None:
    """Load a state dict whose keys and shapes must match exactly.

    Raises:
        UserError: lists every missing, unexpected and mis-shaped key.
    """
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
    module.load_state_dict(state, strict=True)
