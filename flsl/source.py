"""What a command line names as a checkpoint: where it lies, and what the user insists on against the file."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flsl import hub, model_list
from flsl.architecture import ARCHITECTURES, EncoderConfig
from flsl.model_list import SUFFIXES, ListedModel, listed_models
from flsl.runtime.errors import UserError, unknown_key
from flsl.runtime.text import number_of


@dataclass(frozen=True)
class Overrides:
    """What replaces the reader's own findings; each change becomes a warning in the record."""

    architecture: str | None = None  # `arch=vit_small`: the size, which sets the heads
    num_heads: int | None = None  # `heads=8`: another attention on the same weights
    positions: str | None = None  # `positions=dino|size|size_plain`: how the table is resized
    branch: str | None = None  # `branch=student`, `momentum_encoder`, ...: which network of the file
    prefix: str | None = None  # `prefix=net.encoder`: below which names the encoder is

    def over(self, other: "Overrides | None") -> "Overrides":
        """Return these overrides, completed by `other`."""
        filled = {key: value for key, value in asdict(self).items() if value is not None}
        return Overrides(**(asdict(other or Overrides()) | filled))

    def changes(self, config: EncoderConfig) -> dict[str, Any]:
        """Return the fields of `config` that these overrides change.

        Raises:
            UserError: an unknown architecture, or positions of a network that stays timm's.
        """
        wanted: dict[str, Any] = {}
        if self.architecture is not None:
            if self.architecture not in ARCHITECTURES:
                raise UserError(unknown_key(f"--arch {self.architecture}", self.architecture, ARCHITECTURES))
            sizes = dict(zip(("embed_dim", "depth", "num_heads"), ARCHITECTURES[self.architecture]))
            wanted |= {"architecture": self.architecture, **sizes}
        if self.num_heads is not None:
            wanted["num_heads"] = self.num_heads
        if self.positions is not None:
            if config.timm_model is not None:
                raise UserError(f"--positions {self.positions}: {config.name} gives its tokens positions in timm's way")
            wanted["position_interpolation"] = self.positions
        return {key: value for key, value in wanted.items() if getattr(config, key) != value}


OPTIONS = {"arch": "architecture", "heads": "num_heads"} | {key: key for key in ("positions", "branch", "prefix")}


def split_spec(spec: str) -> tuple[str, Overrides]:
    """Split `LOCATION?heads=8&branch=student` into the location and its overrides.

    Raises:
        UserError: no location, an unknown option, or a value of the wrong kind.
    """
    location, mark, query = spec.partition("?")
    if not location.strip():  # as a path it would be the current folder
        raise UserError("--checkpoint is empty: name a file, or a name that `python -m flsl models` lists")
    if not mark or os.path.exists(spec):
        return spec, Overrides()
    values: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            raise UserError(unknown_key(f"--checkpoint {spec}: option {key!r}", key, OPTIONS))
        values[OPTIONS[key]] = value
    if "num_heads" in values:
        values["num_heads"] = number_of(values["num_heads"])
        if not values["num_heads"]:
            raise UserError(f"--checkpoint {spec}: heads must be a positive number")
    if values.get("positions", "dino") not in ("dino", "size", "size_plain"):
        raise UserError(f"--checkpoint {spec}: positions must be dino, size or size_plain")
    return location, Overrides(**values)


def join_spec(location: str, overrides: Overrides) -> str:
    """Return the one string that names a checkpoint with its overrides; the inverse of `split_spec`."""
    values = {key: getattr(overrides, field) for key, field in OPTIONS.items()}
    query = urlencode({key: value for key, value in values.items() if value is not None})
    return location + (("&" if "?" in location else "?") + query if query else "")


def stem_of(location: str) -> str:
    """Return the name of a checkpoint's file or folder without its suffix, which names its model in a record."""
    name = os.path.basename(os.path.abspath(os.path.expanduser(location)))
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.removesuffix(suffix) not in ("", name)), name)


def path_of(spec: str | Path) -> Path | None:
    """Return the file or folder here that names a checkpoint; None where it is a name of another kind.

    Raises:
        UserError: see `split_spec`.
    """
    path = Path(os.path.expanduser(split_spec(str(spec))[0]))
    return path if os.path.exists(path) else None


def locate(location: str) -> tuple[Path, ListedModel | None]:
    """Return the path that a location means, and its entry if it is a name of the model list.

    Raises:
        UserError: nothing of that name here; the message says how to get a listed model.
    """
    if location.startswith("hf:"):
        return hub.locate(location.removeprefix("hf:")), None
    path = Path(os.path.expanduser(location))  # pathlib's own raises where there is no such user
    if os.path.exists(path):
        return path, None
    if location in listed_models():
        return model_list.locate(listed_models()[location]), listed_models()[location]
    raise UserError(
        f"checkpoint {location} does not exist.{model_list.suggest(location)} Give a file such as "
        "RUN/encoder.safetensors, a name that `python -m flsl models` lists, hf:ORG/NAME, timm:NAME, or random:vit_small/16 for the "
        "untrained baseline."
    )
