"""The protocols of YouTube-VOS (docs/protocols.md, "YouTube-VOS 2018"): those of DAVIS, as nobody published others."""

from dataclasses import replace

from eval.propagation.protocol import CROPMAE, VIDEOWALK, Protocol

# Version 1 of the padded ones went on to pad by the first frame when a later one had given masks, which has none of its objects.
PADDED = (replace(protocol, version=2) for protocol in (VIDEOWALK, CROPMAE))
PROTOCOLS = {protocol.name: protocol for protocol in (Protocol("dino"), *PADDED)}
