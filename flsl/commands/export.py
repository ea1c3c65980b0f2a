"""Write an encoder in another project's form, and say how to load it there.

python -m flsl export CHECKPOINT --to timm  FOLDER     timm.create_model("local-dir:FOLDER", pretrained=True)
python -m flsl export CHECKPOINT --to hf    FOLDER     transformers.AutoModel.from_pretrained("FOLDER")
python -m flsl export CHECKPOINT --to mmdet FILE.pth   load_from = "FILE.pth" in an mmdetection config
python -m flsl export CHECKPOINT --to torch FILE.pth   torch.load("FILE.pth")["state_dict"]
"""

import argparse
from pathlib import Path

from flsl.commands.arguments import add_checkpoint, overrides

PICKLED = (".pth", ".pt", ".bin", ".ckpt")  # as this project reads them again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_checkpoint(parser)
    parser.add_argument("--to", required=True, choices=("timm", "mmdet", "hf", "torch"), help="whose form")
    parser.add_argument("out", type=Path, metavar="OUT", help="file (mmdet, torch) or folder (timm, hf) to write")


def run(arguments: argparse.Namespace) -> int:
    """Load, write, and print how to load the result."""
    from flsl.checkpoint import load_encoder
    from flsl.exports import TARGETS
    from flsl.runtime.apart import require_apart
    from flsl.runtime.errors import UserError
    from flsl.source import path_of

    folder = arguments.to in ("timm", "hf")
    suffix = arguments.out.suffix
    if (suffix or arguments.out.is_file()) if folder else suffix not in PICKLED:
        kind = "a folder: a name without suffix" if folder else "a file: a name such as encoder.pth"
        raise UserError(f"--to {arguments.to} writes {kind}, but OUT is {arguments.out}")
    checkpoint = path_of(arguments.checkpoint)
    for place in (arguments.out, arguments.out / "model.safetensors"):  # either may be the checkpoint
        require_apart(place, {}, {"CHECKPOINT": checkpoint}, option="OUT")
    loaded = load_encoder(arguments.checkpoint, overrides=overrides(arguments))
    notes = TARGETS[arguments.to](loaded, arguments.out)
    print(f"{arguments.out}: {loaded.name}")
    for note in notes:
        print(f"  {note}")
    return 0
