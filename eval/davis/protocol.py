"""Named, versioned protocols. A changed constant is another protocol with another name, never a flag."""

from dataclasses import dataclass
from typing import Literal

from flsl.runtime.errors import UserError, unknown_key


@dataclass(frozen=True)
class Protocol:
    """Constants of one label-propagation protocol (docs/protocols.md, "DAVIS 2017"); lengths are in tokens."""

    name: str
    version: int = 1
    short_side: int = 480  # pixels
    long_side_multiple: int = 64  # pixels; the scaled long side is floored to a multiple of this
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # RGB, of values in 0..1
    # 0.228 instead of ImageNet's 0.229 is inherited from the first public evaluation; published figures use it.
    std: tuple[float, float, float] = (0.228, 0.224, 0.225)
    context_frames: int = 7  # last frames that vote, besides the first frame
    radius: int = 12  # of the window around the target token; 0 means no window
    window: Literal["square", "circle"] = "square"
    window_on_first_frame: bool = True
    topk: int = 5
    temperature: float = 0.1

    def key(self, edition: str) -> str:
        """Return the name in records of an edition of the benchmark, e.g. `davis2017/dino@1`."""
        return f"{edition}/{self.name}@{self.version}"


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # What DINO, SelfPatch and FLSL report.
        Protocol("dino"),
        # The contrastive random walk's public settings: the frames at their own 480p size (cut to what patches of 16 and 8
        # divide), a long context, sharp weights, and a first frame that votes from everywhere. Version 1 had `dino`'s context,
        # selection and temperature, which nobody published.
        Protocol(
            "videowalk",
            version=2,
            long_side_multiple=16,
            std=(0.229, 0.224, 0.225),
            context_frames=20,
            window_on_first_frame=False,
            topk=10,
            temperature=0.05,
        ),
        # Round window, softer weights, twice the resolution, ImageNet's own deviation; all else as `dino`.
        Protocol("dinov3", short_side=960, std=(0.229, 0.224, 0.225), window="circle", temperature=0.2),
    )
}


def get_protocol(name: str) -> Protocol:
    """Return a protocol by name. Raises UserError naming the nearest valid one."""
    if name not in PROTOCOLS:
        raise UserError(unknown_key(f"--protocol {name}", name, PROTOCOLS))
    return PROTOCOLS[name]
