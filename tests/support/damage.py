"""Ways to damage a drawn copy of each benchmark's data, and what `python -m eval data verify` has to say of each."""

import json
import os
import shutil

import numpy as np
from PIL import Image
from scipy.io import savemat

VAL = "drawn-00"
VIP_FRAME, VIP_MASK = (
    f"{folder}/{VAL}/000000000026" for folder in ("Images", "Annotations/Category_ids")
)  # of each video 1, 26, 51
CLIP = "walk/drawn_test_00"
JOINTS = f"joint_positions/{CLIP}/joint_positions.mat"
YT_FRAMES, YT_MASKS = (f"valid/{folder}/{VAL}" for folder in ("JPEGImages", "Annotations"))
TRUTH = "UAV-benchmark-MOTD_v1.0/GT"


def edit_json(root, change):
    path = root / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_objects(root, change):
    path = root / "valid/meta.json"
    content = json.loads(path.read_text())
    change(content["videos"][VAL]["objects"])
    path.write_text(json.dumps(content))


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def repaint(path, mode=None, size=None, extra_id=None):
    image = Image.open(path)
    image.load()
    if extra_id:
        index = np.array(image)
        index[:3, :3] = extra_id
        palette = image.getpalette()
        image = Image.fromarray(index, mode="P")
        image.putpalette(palette)
    if size:
        image = image.resize(size, Image.NEAREST)
    if mode:
        image = image.convert(mode)
    image.save(path)


def make_16_bit(path):
    Image.fromarray(np.full((72, 96), 30_000, np.uint16)).save(path, format="PNG")


def repeat_key(path):
    """Python would keep the second list alone."""
    path.write_text(path.read_text().replace('"annotations":', '"annotations": [], "annotations":', 1))


def leave_only_meta(root, text):
    shutil.rmtree(root / "train")
    (root / "train").mkdir()
    (root / "train/meta.json").write_text(text)


def keep_frames(root, count):
    for path in sorted(root.glob(f"*/480p/{VAL}/*")):
        if int(path.stem) >= count:
            path.unlink()


def add_row(root, row):
    with open(root / TRUTH / "M0101_gt_whole.txt", "a") as file:
        file.write(row + "\n")


def write_joints(path, shape=(2, 15, 3), variable="pos_img", value=5.0):
    savemat(path, {variable: np.full(shape, value)})


def replace_with_empty_file(path):
    path.write_bytes(b"")


def replace_with_pipe(path):
    """Whoever reads it waits for ever."""
    path.unlink()
    os.mkfifo(path)


def rename(path, name):
    path.rename(path.with_name(name))


DAMAGE = {
    "images": [
        (lambda r: cut_in_half(r / "train/star-dots/000002.jpg"), "star-dots/000002.jpg: the file is cut off"),
        (lambda r: replace_with_empty_file(r / "train/star-dots/000002.jpg"), "000002.jpg: the file is empty"),
        (lambda r: (r / "train/star-dots/000002.jpg").write_text("no"), "000002.jpg: not a readable picture"),
        (lambda r: (r / "train/none").mkdir(), "train/none: no picture"),
        (lambda r: shutil.copy(r / "train/star-dots/000002.jpg", r / "train/x.jpg"), "1 pictures lie beside"),
    ],
    "davis": [
        (lambda r: cut_in_half(r / f"JPEGImages/480p/{VAL}/00001.jpg"), f"{VAL}/00001.jpg: the file is cut off"),
        (lambda r: (r / f"JPEGImages/480p/{VAL}/00001.jpg").unlink(), f"{VAL}/00001.jpg: the frame is missing"),
        (lambda r: (r / f"Annotations/480p/{VAL}/00000.png").unlink(), "00000.png: the mask is missing and nothing"),
        (lambda r: repaint(r / f"Annotations/480p/{VAL}/00001.png", mode="RGB"), "00001.png: a mask of mode RGB"),
        (lambda r: repaint(r / f"Annotations/480p/{VAL}/00002.png", size=(50, 40)), "50x40, but its frame is 96x72"),
        (lambda r: repaint(r / f"Annotations/480p/{VAL}/00002.png", extra_id=9), "00002.png: object 9 is not in"),
        (lambda r: cut_in_half(r / f"Annotations/480p/{VAL}/00002.png"), f"{VAL}/00002.png: the file is cut off"),
        (lambda r: repaint(r / f"JPEGImages/480p/{VAL}/00001.jpg", size=(90, 72)), "90x72 where most frames are 96x72"),
        (lambda r: shutil.rmtree(r / f"JPEGImages/480p/{VAL}"), f"480p/{VAL}: no frames"),
        (lambda r: keep_frames(r, 2), f"480p/{VAL}: 2 frames: the first and the last are not scored"),
        (lambda r: shutil.rmtree(r / "Annotations"), "Annotations/480p: the folder is missing"),
        (lambda r: (r / "ImageSets/2017/val.txt").write_text(f"{VAL}\n{VAL}\n"), f"lists {VAL} 2 times"),
        (lambda r: replace_with_pipe(r / "ImageSets/2017/val.txt"), "val.txt: it is no file, or a link to none"),
        (lambda r: repaint(r / f"Annotations/480p/{VAL}/00000.png", extra_id=9), "00000.png: object 3..8 is not in"),
    ],
    "vip": [
        (lambda r: cut_in_half(r / f"{VIP_FRAME}.jpg"), "026.jpg: the file is cut off"),
        (lambda r: (r / f"{VIP_FRAME}.jpg").unlink(), "026.png: a mask without a frame"),
        (lambda r: (r / f"{VIP_MASK}.png").unlink(), "026.png: the mask is missing"),
        (lambda r: cut_in_half(r / f"{VIP_MASK}.png"), "026.png: the file is cut off"),
        (lambda r: repaint(r / f"{VIP_MASK}.png", mode="RGB"), "026.png: a mask of mode RGB"),
        (lambda r: repaint(r / f"{VIP_MASK}.png", size=(50, 40)), "50x40, but its frame is 96x72"),
        (
            lambda r: repaint(r / f"{VIP_MASK}.png", extra_id=20),
            "026.png holds the values 20; masks of VIP are 0 to 19",
        ),
        (lambda r: repaint(r / f"{VIP_FRAME}.jpg", size=(90, 72)), "90x72 where most frames are 96x72"),
        (lambda r: shutil.copy(r / f"{VIP_FRAME}.jpg", r / f"Images/{VAL}/26.jpg"), "26.jpg are both number 26"),
        (lambda r: shutil.rmtree(r / f"Images/{VAL}"), f"Images/{VAL}: no frames of this video, which val_videos.txt"),
        (lambda r: shutil.rmtree(r / f"Annotations/Category_ids/{VAL}"), f"Category_ids/{VAL}: no masks of this video"),
        (lambda r: shutil.rmtree(r / "Annotations"), "Annotations/Category_ids: the folder is missing"),
        (lambda r: (r / "lists/val_videos.txt").write_text(f"{VAL}\n{VAL}\n"), f"val_videos.txt lists {VAL} twice"),
        (lambda r: (r / "lists/val_videos.txt").write_text("\n"), "val_videos.txt lists no video"),
        (lambda r: replace_with_pipe(r / "lists/val_videos.txt"), "val_videos.txt: it is no file, or a link"),
        (lambda r: (r / "lists/val_videos.txt").unlink(), "no video is listed in val_videos.txt or train_videos.txt"),
        (lambda r: [(r / f"{VIP_MASK[:-2]}{n}.png").unlink() for n in (26, 51)], "the only mask of its video"),
    ],
    "jhmdb": [
        (lambda r: cut_in_half(r / f"Rename_Images/{CLIP}/00002.png"), f"{CLIP}/00002.png: the file is cut off"),
        (lambda r: (r / f"Rename_Images/{CLIP}/00002.png").unlink(), f"{CLIP}/00002.png: the frame is missing"),
        (lambda r: (r / f"Rename_Images/{CLIP}/00003.png").unlink(), "joints of 3 frames, but the clip has 2"),
        (lambda r: rename(r / f"Rename_Images/{CLIP}/00001.png", "00000.png"), "00000.png: frames count from 1"),
        (lambda r: repaint(r / f"Rename_Images/{CLIP}/00002.png", size=(8, 9)), "8x9 where most frames are 96x72"),
        (lambda r: shutil.rmtree(r / f"Rename_Images/{CLIP}"), f"Rename_Images/{CLIP}: no frame 00001.png"),
        (lambda r: cut_in_half(r / JOINTS), "joint_positions.mat is damaged or no MATLAB file"),
        (lambda r: replace_with_empty_file(r / JOINTS), "joint_positions.mat is damaged or no MATLAB file"),
        (lambda r: (r / JOINTS).unlink(), "joint_positions.mat is missing"),
        (lambda r: write_joints(r / JOINTS, variable="pos_world"), "joint_positions.mat lacks the numbers pos_img"),
        (lambda r: write_joints(r / JOINTS, shape=(2, 14, 3)), "holds a pos_img of 2 x 14 x 3"),
        (lambda r: write_joints(r / JOINTS, value=np.nan), "no finite position of the joint neck in frame 1"),
        (lambda r: (r / "splits/walk_test_split1.txt").write_text("a.avi 3\n"), "'a.avi 3' is not a clip and its part"),
        (lambda r: replace_with_empty_file(r / "splits/walk_test_split1.txt"), "walk_test_split1.txt lists no clip"),
        (lambda r: [path.unlink() for path in (r / "splits").iterdir()], "no list names a clip of the test split"),
        (lambda r: shutil.rmtree(r / "Rename_Images"), "Rename_Images: the folder is missing"),
    ],
    "ytvos": [
        (lambda r: cut_in_half(r / f"{YT_FRAMES}/00005.jpg"), f"{VAL}/00005.jpg: the file is cut off"),
        (lambda r: (r / f"{YT_FRAMES}/00005.jpg").unlink(), "00005.jpg: the frame is missing, which meta.json lists"),
        (lambda r: (r / f"{YT_FRAMES}/00005.jpg").unlink(), "00005.png: a mask without a frame"),
        (lambda r: (r / f"{YT_MASKS}/00015.png").unlink(), "00015.png: the mask is missing, though others are there"),
        (lambda r: cut_in_half(r / f"{YT_MASKS}/00015.png"), f"{VAL}/00015.png: the file is cut off"),
        (lambda r: repaint(r / f"{YT_MASKS}/00005.png", mode="RGB"), "00005.png: a mask of mode RGB"),
        (lambda r: repaint(r / f"{YT_MASKS}/00005.png", size=(50, 40)), "50x40, but its frame is 96x72"),
        (lambda r: repaint(r / f"{YT_MASKS}/00005.png", extra_id=9), "00005.png: object 9 is not in meta.json"),
        (lambda r: repaint(r / f"{YT_FRAMES}/00005.jpg", size=(90, 72)), "90x72 where most frames are 96x72"),
        (
            lambda r: edit_objects(r, lambda o: o["1"]["frames"].pop(0)),
            "00000.png: object 1, which meta.json lists from",
        ),
        (lambda r: edit_objects(r, lambda o: o.update({"9": o["1"]})), f"Annotations/{VAL}: no mask of object 9"),
        (lambda r: edit_objects(r, lambda o: o["1"].pop("category")), f"video {VAL}, object 1 has no category"),
        (lambda r: edit_objects(r, lambda o: o.clear()), f"video {VAL} has no object"),
        (lambda r: cut_in_half(r / "valid/meta.json"), "valid/meta.json is no JSON"),
        (lambda r: (r / "valid/meta.json").unlink(), "valid/meta.json is missing"),
        (lambda r: shutil.rmtree(r / "train"), "train/meta.json: it is missing: scoring, not predicting, needs"),
        (lambda r: leave_only_meta(r, "{}"), "train/meta.json has no 'videos'"),
        (lambda r: rename(r / f"{YT_FRAMES}/00015.jpg", "5.jpg"), "are both number 5"),
        (lambda r: shutil.rmtree(r / "valid/Annotations"), "valid/Annotations: the folder is missing"),
    ],
    "coco": [
        (lambda r: (r / "val2017/000000200001.jpg").unlink(), "000000200001.jpg: the file is missing"),
        (lambda r: cut_in_half(r / "val2017/000000200001.jpg"), "000000200001.jpg: the file is cut off"),
        (lambda r: repaint(r / "val2017/000000200001.jpg", size=(8, 9)), "8x9, but the annotation file says 128x96"),
        (lambda r: shutil.rmtree(r / "val2017"), "val2017: the folder of the 3 pictures is missing"),
        (lambda r: edit_json(r, lambda c: c["annotations"][0].update(image_id=7)), "image_id 7 is not in 'images'"),
        (lambda r: edit_json(r, lambda c: c["annotations"][0].update(category_id=2)), "category_id 2 is not in"),
        (
            lambda r: edit_json(r, lambda c: c["annotations"].append(c["annotations"][0])),
            "1 ids come more than once in 'annotations': 1",
        ),
        (
            lambda r: edit_json(r, lambda c: c["images"].append(c["images"][0])),
            "1 ids come more than once in 'images': 200001",
        ),
        (lambda r: edit_json(r, lambda c: c["annotations"][0].update(bbox=[1, 1, 0, 5])), "has no area"),
        (lambda r: edit_json(r, lambda c: c["annotations"][0].update(bbox=[999, 1, 5, 5])), "lies outside"),
        (lambda r: edit_json(r, lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3]])), "three points"),
        (
            lambda r: edit_json(r, lambda c: c["annotations"][0].update(segmentation={"size": [9, 9], "counts": []})),
            "run lengths of size [9, 9]",
        ),
        (lambda r: cut_in_half(r / "annotations/instances_val2017.json"), "instances_val2017.json is not valid JSON"),
        (
            lambda r: replace_with_pipe(r / "annotations/instances_val2017.json"),
            "val2017.json: it is no file, or a link",
        ),
        (lambda r: edit_json(r, lambda c: c["annotations"].clear()), "no annotation of an object"),
        (
            lambda r: edit_json(r, lambda c: [a.update(iscrowd=1) for a in c["annotations"]]),
            "no annotation of an object",
        ),
        (lambda r: edit_json(r, lambda c: c["categories"][0].update(name="kite")), "differ in their categories"),
        (lambda r: edit_json(r, lambda c: c["categories"][0].update(name="\ud800")), "name must be text"),
        (lambda r: repeat_key(r / "annotations/instances_val2017.json"), "'annotations' stands there twice"),
        (lambda r: edit_json(r, lambda c: c.pop("categories")), "lacks the list 'categories'"),
    ],
    "segment": [
        (lambda r: cut_in_half(r / "images/val/000001.jpg"), "images/val/000001.jpg: the file is cut off"),
        (lambda r: cut_in_half(r / "masks/val/000001.png"), "000001.png is no mask: the file is cut off"),
        (lambda r: repaint(r / "masks/val/000001.png", mode="RGB"), "000001.png is no mask: a mask of mode RGB"),
        (lambda r: repaint(r / "masks/val/000001.png", size=(50, 40)), "000001 has 50x40 pixels, but its image"),
        (lambda r: repaint(r / "masks/train/000002.png", extra_id=5), "000002.png holds 5, of which this data set"),
        (lambda r: (r / "images/val/000001.jpg").unlink(), "masks/val/000001.png: a mask without an image"),
        (lambda r: (r / "masks/val/000001.png").unlink(), "1 of 2 images of the split val have no mask"),
        (lambda r: [path.unlink() for path in (r / "images/val").iterdir()], "the split val of"),
        (lambda r: shutil.rmtree(r / "images/val"), "the split 'val' is not a known split"),
        (lambda r: make_16_bit(r / "images/val/000001.jpg"), "000001.jpg: a picture of mode I;16"),
    ],
    "uavdt": [
        (lambda r: (r / "UAV-benchmark-M/M0101/img000002.jpg").unlink(), "img000002.jpg: the frame is missing"),
        (lambda r: cut_in_half(r / "UAV-benchmark-M/M0101/img000002.jpg"), "img000002.jpg: the file is cut off"),
        (lambda r: repaint(r / "UAV-benchmark-M/M0101/img000002.jpg", size=(8, 9)), "8x9 where most frames are 160x96"),
        (lambda r: [shutil.rmtree(folder) for folder in (r / "UAV-benchmark-M").iterdir()], "M: no sequence"),
        (lambda r: shutil.rmtree(r / "UAV-benchmark-M/M0101"), "M0101: the frames of this ground truth are missing"),
        (lambda r: (r / TRUTH / "M0101_gt_whole.txt").unlink(), "M0101_gt_whole.txt: the ground truth is missing"),
        (lambda r: (r / TRUTH / "M0101_gt_ignore.txt").unlink(), "M0101_gt_ignore.txt: the file of ignore regions"),
        (lambda r: add_row(r, "1,2,3"), "expected 9 comma-separated numbers"),
        (lambda r: add_row(r, "1,99,5,5,car,9,1,1,1"), "'car' is not a finite number"),
        (lambda r: add_row(r, "1,99,5,5,0,9,1,1,1"), "columns 5 and 6, width and height, must be positive"),
        (lambda r: add_row(r, "1,99,5,5,9,9,1,1,4"), "column 9, category, must be one of"),
        (lambda r: add_row(r, "1,99,5,5,9,9,1,5,1"), "column 8, occlusion, must be one of"),
        (lambda r: add_row(r, "1,99,5,5,9,9,0,1,1"), "column 7, out-of-view, must be one of"),
        (lambda r: add_row(r, "0,99,5,5,9,9,1,1,1"), "frame, must be a whole number; frames count from 1"),
        (lambda r: add_row(r, "4,99,5,5,9,9,1,1,1"), "its frame is not there"),
        (lambda r: add_row(r, "1,99,500,5,9,9,1,1,1"), "outside its frame of 160x96"),
        (lambda r: (add_row(r, "1,99,5,5,9,9,1,1,1"), add_row(r, "1,99,6,6,9,9,1,1,1")), "target 99 has more than one"),
        (lambda r: rename(r / "UAV-benchmark-M/M0101/img000001.jpg", "img000000.jpg"), "frames count from 1"),
        (
            lambda r: shutil.copy(*(r / f"UAV-benchmark-M/M0101/img000001.{end}" for end in ("jpg", "JPG"))),
            "are both frame 1",
        ),
        (
            lambda r: [replace_with_empty_file(path) for path in (r / TRUTH).glob("M0[1-9]*_gt_whole.txt")],
            "no box in any train sequence: there is nothing to train with",
        ),
    ],
}
