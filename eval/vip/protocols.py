"""The protocols of VIP (docs/protocols.md, "VIP")."""

from dataclasses import replace

from eval.propagation.protocol import CROPMAE, VIDEOWALK, Exactly, LongSide

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        replace(CROPMAE, frame=LongSide(880, multiple=64), topk=10),
        # Its public code resizes ids bilinearly here, which makes parts that are none; nearest is what it names.
        replace(VIDEOWALK, frame=Exactly(560, 560)),
    )
}
