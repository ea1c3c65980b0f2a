"""The protocols of DAVIS 2017 and 2016 (docs/protocols.md, "DAVIS 2017")."""

from dataclasses import replace

from eval.propagation.protocol import CROPMAE, VIDEOWALK, Protocol, ShortSide

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # What DINO, SelfPatch and FLSL report.
        Protocol("dino"),
        # Version 1 had `dino`'s context, selection and temperature, which nobody published, version 2 the constants but
        # `dino`'s context, window, labels and ties.
        replace(VIDEOWALK, version=3),
        # Round window, softer weights, twice the resolution, ImageNet's own deviation; all else as `dino`.
        Protocol(
            "dinov3", frame=ShortSide(960, multiple=64), std=(0.229, 0.224, 0.225), window="circle", temperature=0.2
        ),
        CROPMAE,
    )
}
