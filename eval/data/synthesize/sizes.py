"""How large the drawn data are: every option of `eval data synthesize` with its default and bounds."""

from typing import Any

SIDE = 4096  # pixels; OpenCV moves no picture of 32,767 or more
# benchmark -> option -> (default, least, most, help). All options together, in this order, decide the bytes.
SIZES: dict[str, dict[str, tuple[Any, int, int | None, str]]] = {
    "images": {
        "count": (400, 1, None, "pictures in all"),
        "classes": (8, 1, 40, "class folders"),
        "height": (224, 32, SIDE, "pixels"),
        "width": (224, 32, SIDE, "pixels"),
    },
    "davis": {
        "sequences": (4, 1, None, "clips of the val split"),
        "train_sequences": (2, 0, None, "clips of the train split"),
        "frames": (24, 3, None, "frames of a clip"),  # the first and the last are not scored
        "height": (240, 48, SIDE, "pixels"),
        "width": (432, 48, SIDE, "pixels"),
        "void": (False, 0, None, "mark object borders as void (index 255)"),
        "flicker": (35, 0, 80, "how far the brightness of each color swings, percent"),
    },
    "vip": {
        "videos": (4, 1, None, "videos of the val split"),
        "frames": (8, 2, None, "frames of a video"),
        "height": (180, 64, SIDE, "pixels"),
        "width": (240, 64, SIDE, "pixels"),
        "void": (False, 0, None, "mark borders of parts as void (index 255)"),
    },
    "jhmdb": {
        "clips": (4, 1, None, "clips of the test split"),
        "train_clips": (1, 0, None, "clips of the train split"),
        "frames": (8, 2, None, "frames of a clip"),
        "height": (180, 64, SIDE, "pixels"),
        "width": (240, 64, SIDE, "pixels"),
    },
    "ytvos": {
        "videos": (4, 1, None, "videos of the valid split"),
        "train_videos": (2, 1, None, "videos of the train split, whose categories are the seen ones"),
        "frames": (12, 3, None, "frames of a video, every fifth one"),
        "height": (180, 48, SIDE, "pixels"),
        "width": (320, 48, SIDE, "pixels"),
        "given_only": (False, 0, None, "valid has masks of objects' first frames alone, as the official one"),
    },
    "coco": {
        "count": (160, 3, None, "pictures of train2017"),
        "val_count": (40, 3, None, "pictures of val2017"),
        "height": (192, 64, SIDE, "pixels"),
        "width": (256, 64, SIDE, "pixels"),
    },
    "segment": {
        "count": (120, 1, None, "pictures of the train split"),
        "val_count": (40, 1, None, "pictures of the val split"),
        "height": (192, 64, SIDE, "pixels"),
        "width": (256, 64, SIDE, "pixels"),
    },
    "uavdt": {
        "sequences": (2, 1, 20, "clips with names from the official test list"),
        "train_sequences": (3, 0, 30, "clips with names from the official train list"),
        "frames": (24, 2, None, "frames of a clip"),
        "height": (270, 64, SIDE, "pixels"),
        "width": (480, 64, SIDE, "pixels"),
        "car": (14, 5, 40, "a car's length in percent of a frame's height, more or less"),
        "plain": (False, 0, None, "daylight and no bridge: what a small detector can learn"),
    },
}
