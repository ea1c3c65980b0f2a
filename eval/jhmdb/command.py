"""Follow the joints of persons in JHMDB by label propagation with a frozen encoder, and score the poses: PCK.

    python -m eval jhmdb --checkpoint CHECKPOINT --data DIR --out DIR [--protocol cropmae|videowalk]
    python -m eval jhmdb --score-only --predictions DIR --data DIR --out DIR [--name NAME]

The data are the official layout: splits/<action>_test_split1.txt, Rename_Images/<action>/<clip>/00001.png and
joint_positions/<action>/<clip>/joint_positions.mat.

--out receives the poses (predictions/<action>/<clip>/poses.json), the table over joints (joints.csv), a picture (sheet.png)
and record.json. A run that was interrupted goes on at the next clip.

--score-only scores saved poses, anyone's; `eval/jhmdb/poses.py` says what the files hold.
"""

from functools import partial

from eval.arguments import PROPAGATION, add_propagation, evaluate_arguments

add_arguments = partial(
    add_propagation,
    protocols=("cropmae", "videowalk"),
    split="test",
    splits="test or train",
    items="clips",
    predictions="poses",
)
run = partial(evaluate_arguments, options=PROPAGATION)
