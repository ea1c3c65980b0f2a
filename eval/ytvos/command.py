"""Follow the objects of YouTube-VOS 2018 by label propagation with a frozen encoder; write the masks for its server, or score them.

    python -m eval ytvos --checkpoint CHECKPOINT --data DIR --out DIR [--protocol dino|videowalk|cropmae] [--split SPLIT]
    python -m eval ytvos --score-only --predictions DIR --data DIR --out DIR [--name NAME]

The data are the official layout: valid/meta.json, valid/JPEGImages/<video>/00000.jpg and valid/Annotations/<video>/00000.png,
and train/meta.json. --split valid_all_frames follows every frame of valid_all_frames/JPEGImages, with the masks of valid/.

--out receives the masks (predictions/<video>/00000.png), the archive for the server (submission.zip) and record.json, and
where ground truth is at hand (not in the official valid/) the table over objects (objects.csv) and a picture (sheet.png).
Without it the record says that nothing is scored. A run that was interrupted goes on at the next video.

--score-only scores saved masks, anyone's: one folder per video, palette PNGs whose index is the object's number.
"""

from functools import partial

from eval.arguments import PROPAGATION, add_propagation, evaluate_arguments

add_arguments = partial(
    add_propagation,
    protocols=("dino", "videowalk", "cropmae"),
    split="valid",
    splits="folder: valid, valid_all_frames, train, ...",
    items="videos",
    predictions="masks",
)
run = partial(evaluate_arguments, options=PROPAGATION)
