"""Draw synthetic benchmark data, check a real or synthetic copy, or write one in another form.

    python -m eval data synthesize images|davis|vip|jhmdb|ytvos|coco|segment|uavdt DIR [--seed N] [size options]
    python -m eval data synthesize uavdt DIR --from-gt UAVDT_DIR [--frames N]
    python -m eval data verify     images|davis|vip|jhmdb|ytvos|coco|segment|uavdt|discovery DIR [--quick]
    python -m eval data prepare    uavdt DIR --split train|test --out FILE.json
    python -m eval data prepare    images DIR --out DIR [--val-every N]

Synthetic data are written in the benchmark's own layout with a marker file `dataset.json`; the same seed and sizes
give the same bytes. `verify` ends with exit code 0 for a whole or a sound partial copy and 2 for a broken one.
`prepare uavdt` writes COCO JSON for other people's detectors: `python -m eval uavdt` reads the official layout. `prepare images`
holds out every N-th picture of each class for `python -m eval knn`; pretraining on the result takes the others.
"""

import argparse
from importlib import import_module
from pathlib import Path

from eval.data.synthesize import synthesize
from eval.data.synthesize.sizes import SIZES
from flsl.runtime.apart import require_apart
from flsl.runtime.errors import UserError, require_between

BENCHMARKS = {
    "images": "pictures in class folders (ImageFolder layout: train/CLASS/*.jpg), for pretraining",
    "davis": "DAVIS 2017 layout: clips with palette masks of several objects",
    "vip": "VIP layout: videos of people with palette masks of their parts",
    "jhmdb": "JHMDB layout: clips of people with the positions of their joints",
    "ytvos": "YouTube-VOS 2018 layout: videos with palette masks of objects that appear at any time",
    "coco": "COCO 2017 layout: pictures with instance JSON files",
    "segment": "segmentation: pictures with masks of classes",
    "uavdt": "UAVDT layout: clips of traffic seen from above with ground-truth text files",
}
CHECKED = BENCHMARKS | {
    "discovery": "object discovery: Pascal VOC's images with box files, COCO 20k or any data in COCO's format"
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs, each with one sub-command a benchmark."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    synthesize = verbs.add_parser(
        "synthesize", aliases=["synthesise"], help="draw synthetic data", description="Draw synthetic data."
    )
    verify = verbs.add_parser("verify", help="check a copy", description="Check a real or synthetic copy.")
    prepare = verbs.add_parser("prepare", help="write data in another form", description="Write data in another form.")
    _add_synthesize(synthesize)
    _add_verify(verify)
    _add_prepare(prepare)


def _add_synthesize(verb: argparse.ArgumentParser) -> None:
    commands = verb.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    for benchmark, text in BENCHMARKS.items():
        command = commands.add_parser(benchmark, help=text, description=f"Draw {text}.")
        command.add_argument("root", type=Path, metavar="DIR", help="a new or empty folder")
        command.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
        for name, (default, _, _, meaning) in SIZES[benchmark].items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(default, bool):
                command.add_argument(option, action="store_true", help=meaning)
            else:
                command.add_argument(option, type=int, metavar="N", help=f"{meaning} (default: {default})")
        if benchmark == "uavdt":
            command.add_argument(
                "--from-gt",
                type=Path,
                metavar="UAVDT_DIR",
                help="draw frames for the ground-truth files of this UAVDT copy, all of them unless --frames cuts every "
                "clip; --height and --width are 540 and 1024 then",
            )


def _add_verify(verb: argparse.ArgumentParser) -> None:
    commands = verb.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    for benchmark, text in CHECKED.items():
        command = commands.add_parser(benchmark, help=text, description=f"Check a copy of {text}.")
        command.add_argument("root", type=Path, metavar="DIR", help="the benchmark's folder")
        command.add_argument(
            "--quick",
            action="store_true",
            help="read the headers of pictures only: faster, but misses files that were cut off",
        )
        if benchmark == "segment":
            command.add_argument("--layout", help="of a folder that several fit, such as coco-stuff (default: found)")
        command.add_argument(
            "--limit", type=int, default=20, metavar="N", help="problems of a kind to print (default: %(default)s)"
        )


def _add_prepare(verb: argparse.ArgumentParser) -> None:
    commands = verb.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    command = commands.add_parser("uavdt", help=BENCHMARKS["uavdt"], description=f"Convert {BENCHMARKS['uavdt']}.")
    command.add_argument("root", type=Path, metavar="DIR", help="the benchmark's folder")
    command.add_argument("--split", choices=("train", "test"), required=True, help="official list to convert")
    command.add_argument("--stride", type=int, default=1, metavar="N", help="every N-th frame (default: %(default)s)")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON file to write")
    text = "hold out a part of pictures in class folders, by links to them"
    command = commands.add_parser("images", help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.add_argument("root", type=Path, metavar="DIR", help="CLASS/*.jpg or train/CLASS/*.jpg")
    command.add_argument(
        "--val-every",
        type=int,
        default=5,
        metavar="N",
        help="every N-th picture of a class is held out (default: %(default)s)",
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for train/ and val/")


def run(arguments: argparse.Namespace) -> int:
    """Run one verb; returns the exit code."""
    if arguments.verb == "verify":
        from eval.data.verify.report import print_report

        module = import_module(f"eval.data.verify.{arguments.benchmark}")
        chosen = {"layout": arguments.layout} if arguments.benchmark == "segment" else {}
        report = module.verify(arguments.root, decode=not arguments.quick, **chosen)
        return print_report(report, arguments.limit)

    if arguments.verb == "prepare":
        return _hold_out(arguments) if arguments.benchmark == "images" else _convert(arguments)
    sizes = {name: getattr(arguments, name) for name in SIZES[arguments.benchmark]}
    if arguments.benchmark == "uavdt" and arguments.from_gt is not None:
        given = {name: value for name, value in sizes.items() if value is not None and value is not False}
        return _run_from_gt(arguments, given)
    return synthesize(arguments.benchmark, arguments.root, arguments.seed, **sizes)


def _run_from_gt(arguments: argparse.Namespace, given: dict[str, int]) -> int:
    """Draw frames for ground-truth files; the files decide which sequences there are."""
    from eval.data.synthesize.from_gt import synthesize_from_gt

    for field in ("sequences", "train_sequences", "car", "plain"):
        if field in given:
            raise UserError(
                f"--{field.replace('_', '-')} does not go with --from-gt, which draws every vehicle of every sequence there is."
            )
    return synthesize_from_gt(arguments.root, arguments.from_gt, arguments.seed, **given)


def _hold_out(arguments: argparse.Namespace) -> int:
    """Link pictures from a train/ and a val/."""
    from eval.data.holdout import hold_out

    require_between(2, val_every=arguments.val_every)
    train, val = hold_out(arguments.root, arguments.out, arguments.val_every)
    print(f"{arguments.out}: {train:,} pictures in train/, {val:,} in val/, linked")
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    """Write the sequences of one official list as a COCO document; ignore regions become crowds."""
    from eval.data.synthesize.folder import write_json
    from eval.uavdt.coco_format import coco_document
    from eval.uavdt.layout import open_layout

    require_between(1, stride=arguments.stride)
    require_apart(arguments.out, {"the files of": arguments.root})
    layout = open_layout(arguments.root)
    layout.require_frames()
    truths = layout.read_truths(arguments.split)
    # Boxes over the edge are cut for training only (docs/protocols.md, "UAVDT").
    document = coco_document(layout, truths, stride=arguments.stride, clip=arguments.split == "train")
    write_json(arguments.out, document, indent=None)
    print(f"{arguments.out}: {len(document['images'])} images, {len(document['annotations'])} annotations")
    return 0
