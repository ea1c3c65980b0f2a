"""Six training steps at once, once more, and as 3 + 3, in one process; prints how they compare, as JSON.

resumed_runs.py DEVICE PATCH_SIZE DETERMINISTIC ROOT     DETERMINISTIC is 0 or 1
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

SMALL = dict(
    head=dict(centroids=16, hidden_dim=32, bottleneck_dim=16),
    views=dict(global_size=48, local_size=32, n_local=2),
    sampling=dict(window_global=2, window_local=2),
)
LAST = "states/step_00000006.pt"


def recipe_of(on_gpu, patch_size, deterministic):
    """Two epochs of three steps: ViT-S on a GPU, a tiny encoder on the CPU."""
    from flsl.runtime.schema import parse
    from pretrain.methods.flsl import Recipe

    encoder = dict(architecture="vit_small", patch_size=patch_size)
    if not on_gpu:
        encoder |= dict(architecture="custom", image_size=48, embed_dim=32, depth=2, num_heads=2)
    return parse(
        Recipe,
        dict(
            {} if on_gpu else SMALL,
            encoder=encoder,
            optimizer=dict(lr=1e-2, warmup_fraction=0.0, freeze_last_layer=0),
            training=dict(epochs=2, batch_size=4, photometric="device")
            | ({"deterministic": True} if deterministic else {}),
            runtime=dict(workers=0, log_every=2, keep=10, pictures_every=0, checkpoint_every=3, compile=False),
        ),
        "",
    )


def compare(ours, theirs):
    """Whether two runs ended in the same state; if not, the first tensor that differs, and by how much."""
    import torch

    same = (ours / "encoder.safetensors").read_bytes() == (theirs / "encoder.safetensors").read_bytes()
    states = [torch.load(folder / LAST, map_location="cpu", weights_only=True)["model"] for folder in (ours, theirs)]
    for name, tensor in states[0].items():
        if not torch.equal(tensor, states[1][name]):
            largest = float((tensor.double() - states[1][name].double()).abs().max())
            return {"same": False, "first": name, "largest_difference": largest}
    return {"same": same, "first": "" if same else "the encoder's file alone"}


def main():
    """Run all three."""
    device, patch_size, deterministic, root = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    from support.pretrain_run import draw_images

    from pretrain import train

    images = draw_images(root / "images")
    recipe = recipe_of(device != "cpu", patch_size, bool(deterministic))
    whole, again, resumed = (root / name for name in ("whole", "again", "resumed"))
    for out in (whole, again):
        train(recipe, images, out, device=device)
    shutil.copytree(whole, resumed)
    (resumed / "encoder.safetensors").unlink()
    for file in (resumed / "states").glob("step_00000006.*"):
        file.unlink()
    train(recipe, images, resumed, device=device)
    digest = hashlib.sha256((whole / "encoder.safetensors").read_bytes()).hexdigest()
    found = {"encoder": digest[:16], "again": compare(whole, again), "resumed": compare(whole, resumed)}
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    tests = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(tests.parent), str(tests)]  # the first, or tests/pretrain stands for pretrain
    main()
