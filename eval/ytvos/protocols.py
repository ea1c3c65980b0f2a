"""The protocols of YouTube-VOS (docs/protocols.md, "YouTube-VOS 2018"): those of DAVIS, as nobody published others."""

from eval.propagation.protocol import CROPMAE, VIDEOWALK, Protocol

PROTOCOLS = {protocol.name: protocol for protocol in (Protocol("dino"), VIDEOWALK, CROPMAE)}
