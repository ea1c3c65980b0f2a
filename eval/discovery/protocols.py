"""The protocols of object discovery: constants, never flags. A changed constant is another protocol with another name."""

from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from eval.protocol import NamedProtocol

if TYPE_CHECKING:  # a protocol is chosen before torch, which takes seconds, is loaded
    import numpy as np
    import torch


@dataclass(frozen=True)
class Protocol(NamedProtocol):
    """What both have (docs/protocols.md, "Object discovery")."""

    def find(self, keys: "torch.Tensor", grid: tuple[int, int]) -> "np.ndarray":
        """Return the tokens (h, w) bool of the object that keys (h w, D) tell of, by the module of the protocol's name."""
        constants = {name: value for name, value in asdict(self).items() if name not in ("name", "version")}
        return import_module(f"eval.discovery.{self.name}").find_object(keys, grid, **constants)


@dataclass(frozen=True)
class Lost(Protocol):
    """Simeoni et al. 2021; its public code, valeoai/LOST fcedbec."""

    patches: int = 100  # of lowest degree, which may vote


@dataclass(frozen=True)
class TokenCut(Protocol):
    """Wang et al. 2022; its public code, YangtaoWANG95/TokenCut fed52cd."""

    threshold: float = 0.2  # cosine above which two tokens are joined
    weak: float = 1e-5  # weight between others


PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (Lost("lost"), TokenCut("tokencut"))}
