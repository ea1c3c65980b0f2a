"""Four maps of strides 4 to 32 from four taps of a ViT, which has one stride (docs/protocols.md, "COCO 2017")."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from flsl.runtime.errors import UserError

STRIDES = (4, 8, 16, 32)
# Side in pixels that an image must be a multiple of: the coarsest level pools whole groups of patches.
MULTIPLE = {8: 32, 14: 28, 16: 32}


class Pyramid(nn.Module):
    """Resample the taps; modules are named `fpn1`..`fpn4` as in public detection checkpoints.

    Patch 16: (deconvolution 2x, BatchNorm, GELU, deconvolution 2x), deconvolution 2x, identity, max-pool 2x.
    Patch 8: deconvolution 2x, identity, max-pool 2x, max-pool 4x.
    Patch 14: as patch 16, then every map is resampled bilinearly by 14/16, so that the strides are 4 to 32 again.
    """

    def __init__(self, embed_dim: int, patch_size: int, norm_cfg: dict | None = None):
        """Build with torch's default initialization; `norm_cfg` is mmcv's, BatchNorm if not given.

        Raises:
            UserError: no pyramid is defined for the patch size.
        """
        super().__init__()
        if patch_size not in MULTIPLE:
            raise UserError(
                f"no feature pyramid is defined for patch size {patch_size}; the detectors take encoders of patch "
                + ", ".join(map(str, sorted(MULTIPLE)))
            )
        self.patch_size = patch_size
        self.multiple = MULTIPLE[patch_size]

        def up() -> nn.Module:
            return nn.ConvTranspose2d(embed_dim, embed_dim, kernel_size=2, stride=2)

        self.fpn1: nn.Module
        self.fpn2: nn.Module
        self.fpn3: nn.Module
        if patch_size == 8:
            self.fpn1 = nn.Sequential(up())
            self.fpn2 = nn.Identity()
            self.fpn3 = nn.MaxPool2d(2, 2)
            self.fpn4 = nn.MaxPool2d(4, 4)
        else:
            norm = build_norm_layer(norm_cfg or {"type": "BN"}, embed_dim)[1]
            self.fpn1 = nn.Sequential(up(), norm, nn.GELU(), up())
            self.fpn2 = nn.Sequential(up())
            self.fpn3 = nn.Identity()
            self.fpn4 = nn.MaxPool2d(2, 2)

    def pad(self, images: Tensor) -> Tensor:
        """Pad images `(B, 3, H, W)` with zeros at the right and bottom, so that every map covers the image."""
        height, width = (self._padded(side) for side in images.shape[-2:])
        return F.pad(images, (0, width - images.shape[-1], 0, height - images.shape[-2]))

    def _padded(self, side: int) -> int:
        whole = -(-side // STRIDES[-1]) * STRIDES[-1]
        return -(-whole // self.multiple) * self.multiple

    def forward(self, taps: Sequence[Tensor], size: tuple[int, int]) -> tuple[Tensor, ...]:
        """Return the maps `(B, D, ceil(H / s), ceil(W / s))`, s = 4, 8, 16, 32.

        Args:
            taps: four maps `(B, D, H' / patch, W' / patch)` of the padded image, shallow to deep.
            size: height and width `(H, W)` of the image before `pad`.
        """
        maps = []
        for stride, level, tap in zip(STRIDES, (self.fpn1, self.fpn2, self.fpn3, self.fpn4), taps):
            out = level(tap)
            if self.patch_size == 14:
                # The factor itself, not a target size, keeps a map's cells exactly `stride` pixels apart.
                out = F.interpolate(out, scale_factor=14 / 16, mode="bilinear", align_corners=False)
            rows, columns = (-(-side // stride) for side in size)
            maps.append(out[..., :rows, :columns])
        return tuple(maps)


class PatchMaps(nn.Module):
    """The taps as they are, four maps of the patch's stride."""

    def __init__(self, patch_size: int):
        """Take patches of a size."""
        super().__init__()
        self.patch_size = patch_size

    def pad(self, images: Tensor) -> Tensor:
        """Pad images `(B, 3, H, W)` with zeros at the right and bottom to whole patches."""
        height, width = images.shape[-2:]
        return F.pad(images, (0, -width % self.patch_size, 0, -height % self.patch_size))

    def forward(self, taps: Sequence[Tensor], size: tuple[int, int]) -> tuple[Tensor, ...]:
        """Return the maps `(B, D, ceil(H / patch), ceil(W / patch))`."""
        return tuple(taps)


def default_blocks(depth: int, shares: Sequence[float] = (1 / 3, 1 / 2, 2 / 3, 1)) -> tuple[int, int, int, int]:
    """Return the taps of an encoder of any depth: those of the published recipe, (3, 5, 7, 11) of 12, scaled."""
    first, second, third, last = (round(depth * share) - 1 for share in shares)
    if 0 <= first < second < third < last:
        return first, second, third, last
    return depth - 4, depth - 3, depth - 2, depth - 1
