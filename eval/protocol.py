"""What names a protocol of frozen features. Its constants are never flags: a changed one is another protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from flsl.runtime.errors import UserError, unknown_key

P = TypeVar("P")


@dataclass(frozen=True)
class NamedProtocol:
    """Name, as `--protocol` takes it, and the version of the constants that subclasses add."""

    name: str
    version: int = 1

    def key(self, data: str) -> str:
        """Return the name in records on data of a name, such as `davis2017/dino@1`."""
        return f"{data}/{self.name}@{self.version}"


def find_protocol(name: str, protocols: Mapping[str, P]) -> P:
    """Return a protocol by name. Raises UserError naming the nearest valid one."""
    if name not in protocols:
        raise UserError(unknown_key(f"--protocol {name}", name, protocols, "protocol"))
    return protocols[name]
