"""The protocols of object discovery: constants, never flags. A changed constant is another protocol with another name."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flsl.runtime.errors import UserError, unknown_key

if TYPE_CHECKING:  # the command's help reads this module, and needs no arrays
    import numpy as np
    import torch


@dataclass(frozen=True)
class Protocol:
    """What both have (docs/protocols.md, "Object discovery")."""

    name: str
    version: int = 1

    def key(self, data: str) -> str:
        """Return the name in records, such as `voc2007/lost@1`."""
        return f"{data}/{self.name}@{self.version}"

    def find(self, keys: "torch.Tensor", grid: tuple[int, int]) -> "np.ndarray":
        """Return the tokens (h, w) bool of the object that keys (h w, D) tell of."""
        raise NotImplementedError


@dataclass(frozen=True)
class Lost(Protocol):
    """Simeoni et al. 2021; its public code, valeoai/LOST fcedbec."""

    patches: int = 100  # of lowest degree, which may vote

    def find(self, keys: "torch.Tensor", grid: tuple[int, int]) -> "np.ndarray":
        """See `eval.discovery.lost`."""
        from eval.discovery.lost import find_object

        return find_object(keys, grid, self.patches)


@dataclass(frozen=True)
class TokenCut(Protocol):
    """Wang et al. 2022; its public code, YangtaoWANG95/TokenCut fed52cd."""

    threshold: float = 0.2  # cosine above which two tokens are joined
    weak: float = 1e-5  # weight between others

    def find(self, keys: "torch.Tensor", grid: tuple[int, int]) -> "np.ndarray":
        """See `eval.discovery.tokencut`."""
        from eval.discovery.tokencut import find_object

        return find_object(keys, grid, self.threshold, self.weak)


PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (Lost("lost"), TokenCut("tokencut"))}


def get_protocol(name: str) -> Protocol:
    """Return a protocol by name. Raises UserError naming the nearest valid one."""
    if name not in PROTOCOLS:
        raise UserError(unknown_key(f"--protocol {name}", name, PROTOCOLS, "protocol"))
    return PROTOCOLS[name]
