"""The protocols of DAVIS 2017 and 2016 (docs/protocols.md, "DAVIS 2017")."""

from dataclasses import replace

from eval.propagation.protocol import CROPMAE, VIDEOWALK, AtLeast, Protocol

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # What DINO, SelfPatch and FLSL report.
        Protocol("dino"),
        # Version 1 had `dino`'s context, selection and temperature, which nobody published, version 2 the constants but
        # `dino`'s context, window, labels and ties.
        replace(VIDEOWALK, version=3),
        # DINOv3's public notebook. Version 1 had `dino`'s way to resize frames, 1664 pixels wide, and to enlarge labels.
        Protocol(
            "dinov3",
            version=2,
            frame=AtLeast(960),
            resized_by="bicubic",
            std=(0.229, 0.224, 0.225),
            first_mask="nearest-exact",
            window="circle",
            temperature=0.2,
            enlarged="nearest",
            stretched="varied",
        ),
        CROPMAE,
    )
}
