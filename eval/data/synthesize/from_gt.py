"""Frames for real UAVDT ground-truth files, so that the whole chain runs on real box statistics."""

from pathlib import Path

from eval.data.synthesize.canvas import encode_jpeg
from eval.data.synthesize.folder import draw_all, fill_folder, generator, require_at_least, write_bytes
from eval.data.synthesize.truth_clip import TruthClip
from eval.data.synthesize.uavdt import LAYOUT, frame_path
from eval.uavdt.files import SequenceTruth, ignore_path, read_truth, whole_path
from eval.uavdt.layout import TRUTH
from eval.uavdt.sequences import official_sequences
from flsl.runtime.errors import UserError
from flsl.runtime.files import sha256_of_file

NAME = "synthetic-uavdt-from-gt"


def synthesize_from_gt(
    root: Path, source: Path, seed: int, *, frames: int | None = None, height: int = 540, width: int = 1024
) -> int:
    """Copy the ground truth of the UAVDT copy `source` to `root` and draw a vehicle into every box; returns 0.

    Args:
        root: the new data folder.
        source: a folder with `UAV-benchmark-MOTD_v1.0/GT/*_gt_whole.txt`.
        seed: decides the looks.
        frames: cut every sequence, and its ground truth, after so many frames.
        height: of the frames in pixels; UAVDT's own are 540 high.
        width: of the frames in pixels; UAVDT's own are 1024 wide, some 960.

    Raises:
        UserError: no ground truth there, a malformed row, boxes outside such frames, or anything that `fill_folder` refuses.
    """
    folder = source / TRUTH
    names = sorted(path.name.removesuffix("_gt_whole.txt") for path in folder.glob("*_gt_whole.txt"))
    if not names:
        raise UserError(
            f"--from-gt {source}: no {TRUTH}/*_gt_whole.txt in it. Give the folder into which the official "
            "UAV-benchmark-MOTD_v1.0 archive was unpacked."
        )
    require_at_least(64, height=height, width=width)
    if frames is not None:
        require_at_least(1, frames=frames)
    truths = {name: read_truth(folder, name, None) for name in names}
    for name, truth in truths.items():
        if (truth.box[:, 0] >= width).any() or (truth.box[:, 1] >= height).any():
            raise UserError(
                f"boxes of {name} lie outside frames of {width}x{height}. Leave out --height and --width: ground-truth "
                "boxes are not rescaled, and UAVDT's frames are 1024x540."
            )
    lengths = {name: min(_length(truth), frames or _length(truth)) for name, truth in truths.items()}

    def draw(item: tuple[TruthClip, str, int]) -> None:
        clip, name, number = item
        write_bytes(frame_path(root, name, number), encode_jpeg(clip.frame(number)))

    def write() -> dict:
        for name, length in lengths.items():
            for path in (whole_path, ignore_path):
                if path(folder, name).is_file():
                    _copy_rows(path(folder, name), path(root / TRUTH, name), frames)
            clip = TruthClip(generator(seed, "from-gt", name), truths[name], height, width, _is_night(name))
            draw_all(draw, [(clip, name, number) for number in range(1, length + 1)])
            print(f"{root}: {name}, {length} frames", flush=True)
        return {"sequences": lengths}

    parameters = {
        "ground_truth": {name: sha256_of_file(whole_path(folder, name)) for name in names},
        "frames": frames,
        "height": height,
        "width": width,
    }
    return fill_folder(root, "uavdt", seed, parameters, LAYOUT, write, NAME)


def _length(truth: SequenceTruth) -> int:
    """Return a sequence's number of frames: the official one where it is known, else the last frame with a row."""
    official = official_sequences().get(truth.name)
    known = official.frames if official and official.frames else 0
    return max(known, truth.length, int(truth.ignore_frame.max(initial=1)))


def _is_night(name: str) -> bool:
    """Tell whether the official attributes say so."""
    official = official_sequences().get(name)
    return official is not None and "night" in official.attributes.get("weather", ())


def _copy_rows(source: Path, target: Path, frames: int | None) -> None:
    """Copy a ground-truth file, of the first `frames` frames only where that is given."""
    lines = source.read_bytes().splitlines(keepends=True)
    if frames is not None:
        lines = [line for line in lines if line.strip() and float(line.split(b",")[0]) <= frames]
    write_bytes(target, b"".join(lines))
