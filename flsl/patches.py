"""Patches of images to tokens, by the operation that is fastest where it runs."""

import torch
import torch.nn.functional as F
from timm.layers import PatchEmbed


def embed_patches(embedding: PatchEmbed, images: torch.Tensor) -> torch.Tensor:
    """Return `(B, rows, columns, D)` of images `(B, 3, H, W)` whose sides are multiples of the patch size."""
    return embedding(images) if images.device.type == "cpu" else as_product(embedding, images)


def as_product(embedding: PatchEmbed, images: torch.Tensor) -> torch.Tensor:
    """Return the same by one matrix product. For such a convolution cuDNN has slow kernels, whose gradients besides may not
    add up in the same order each time; on a CPU it is as fast."""
    high, wide = embedding.patch_size
    patches = images.unflatten(3, (-1, wide)).unflatten(2, (-1, high))  # (B, 3, rows, high, columns, wide)
    patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3)
    return embedding.norm(F.linear(patches, embedding.proj.weight.flatten(1), embedding.proj.bias))
