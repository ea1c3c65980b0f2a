"""The protocols of JHMDB (docs/protocols.md, "JHMDB")."""

from dataclasses import dataclass

from eval.propagation.protocol import CROPMAE, VIDEOWALK, Exactly, Protocol


@dataclass(frozen=True)
class PoseProtocol(Protocol):
    """Constants of following joints: a joint's place is the mean of its `tokens` likeliest tokens."""

    tokens: int = 5


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        PoseProtocol(**vars(CROPMAE) | {"frame": Exactly(320, 320)}),
        PoseProtocol(**vars(VIDEOWALK) | {"frame": Exactly(320, 320)}, tokens=3),
    )
}
