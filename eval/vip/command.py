"""Follow the parts of persons in VIP by label propagation with a frozen encoder, and score the masks: mIoU over 20 parts.

    python -m eval vip --checkpoint CHECKPOINT --data DIR --out DIR [--protocol cropmae|videowalk]
    python -m eval vip --score-only --predictions DIR --data DIR --out DIR [--name NAME]

The data are the official layout: lists/val_videos.txt, Images/<video>/<number>.jpg and
Annotations/Category_ids/<video>/<number>.png.

--out receives the masks (predictions/<video>/<number>.png), the table over parts (parts.csv), a picture (sheet.png) and
record.json. A run that was interrupted goes on at the next video.

--score-only scores saved masks, anyone's: one folder per video, PNGs whose value is the part's id, of the annotation's size.
"""

from functools import partial

from eval.arguments import PROPAGATION, add_propagation, evaluate_arguments

add_arguments = partial(
    add_propagation,
    protocols=("cropmae", "videowalk"),
    split="val",
    splits="list of videos: val or train",
    items="videos",
    predictions="masks",
)
run = partial(evaluate_arguments, options=PROPAGATION)
