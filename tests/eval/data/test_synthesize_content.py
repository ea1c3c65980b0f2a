"""What the drawn data hold: masks, polygons, boxes and flags agree with the pictures."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from eval.data.synthesize.davis import draw_clip
from eval.data.synthesize.folder import generator
from eval.data.synthesize.person import draw_walk
from eval.data.synthesize.polygons import mask_to_polygons, mask_to_runs
from eval.data.synthesize.traffic import clipped_box, occlusion, out_of_view
from eval.jhmdb.data import JOINTS, LIMBS
from eval.segment.datasets import open_segmentation
from eval.vip.data import CLASSES


def test_images_have_a_folder_per_class(drawn):
    classes = sorted(path.name for path in (drawn["images"] / "train").iterdir())
    assert len(classes) == 3
    for name in classes:
        assert all(cv2.imread(str(path)).shape == (48, 64, 3) for path in (drawn["images"] / "train" / name).iterdir())


def test_davis_masks_are_palette_images_with_the_first_frames_objects(drawn):
    root = drawn["davis"]
    for name in (root / "ImageSets/2017/val.txt").read_text().split():
        frames = sorted((root / "JPEGImages/480p" / name).iterdir())
        masks = sorted((root / "Annotations/480p" / name).iterdir())
        assert [path.stem for path in frames] == [path.stem for path in masks] == ["00000", "00001", "00002"]
        ids = []
        for path in masks:
            image = Image.open(path)
            assert (image.mode, image.size) == ("P", (96, 72))
            assert image.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
            ids.append(set(np.unique(np.asarray(image)).tolist()))
        objects = ids[0] - {0}
        assert objects == set(range(1, len(objects) + 1))
        assert len(objects) >= 2
        assert all(found <= ids[0] for found in ids)


def test_davis_void_is_optional(draw_small, tmp_path):
    assert draw_small("davis", tmp_path / "davis", "--void") == 0
    mask = np.asarray(Image.open(next((tmp_path / "davis").rglob("00001.png"))))
    assert {0, 1, 255} <= set(np.unique(mask).tolist())


def test_davis_clips_are_not_solved_by_place_or_color():
    overlaps, hue_gaps = [], []
    for seed in range(6):
        scene = draw_clip(generator(seed, "test"), 120, 216, 0.35)
        first, last = scene.view(0), scene.view(23)
        for thing in scene.things:
            if not thing.label:
                continue
            a, b = first.labels == thing.label, last.labels == thing.label
            overlaps.append((a & b).sum() / max((a | b).sum(), 1))
        means = [first.image[first.labels == thing.label].mean(axis=0) for thing in scene.things if thing.label]
        hue_gaps.append(min(np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]))
    assert np.mean(overlaps) < 0.6  # a copy of the first mask is no answer
    assert np.median(hue_gaps) < 60  # of 255: some objects nearly share their mean color


@pytest.mark.parametrize("size", [(180, 240, 8), (64, 64, 2), (100, 320, 12)], ids=str)
def test_a_person_is_seen_whole_and_walks_across(size):
    """Parts of either side are there in the first frame, joints lie in the picture, and on the parts that they belong to."""
    height, width, frames = size

    def around(labels, joint):
        x, y = joint.round().astype(int)
        return {CLASSES[label] for label in labels[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].flat}

    on = {"face": "face", "right wrist": "right-arm", "left wrist": "left-arm", "right ankle": "right-shoe"}
    parts, traveled = set(), []
    for seed in range(8):
        scene, joints = draw_walk(generator(seed, "test"), height, width, frames)
        labels = scene.view(0).labels
        seen = {CLASSES[label] for label in np.unique(labels)}
        body = {f"{side}-{part}" for side in ("right", "left") for part in ("arm", "leg", "shoe")}
        assert body | {"face", "hair", "torso-skin"} <= seen
        assert seen & {"upper-clothes", "dress"}
        assert joints.shape == (frames, 15, 2)
        assert (joints >= 0).all()
        assert (joints < (width, height)).all()
        for joint, part in on.items():
            assert part in around(labels, joints[0, JOINTS.index(joint)]), joint
        last = scene.view(frames - 1).labels
        heading = "right" if joints[-1, 0, 0] > joints[0, 0, 0] else "left"  # that side is in front
        for joint, part in (
            ("face", "face"),
            (f"{heading} ankle", f"{heading}-shoe"),
            (f"{heading} wrist", f"{heading}-arm"),
        ):
            assert part in around(last, joints[-1, JOINTS.index(joint)]), joint
        parts |= seen
        traveled.append(joints[-1, :, 0].mean() - joints[0, :, 0].mean())
    assert {"hat", "pants", "skirt", "upper-clothes", "dress"} <= parts
    assert min(traveled) < 0 < max(traveled)
    assert np.abs(traveled).min() > 0.05 * width
    limbs = np.linalg.norm(
        np.diff(joints[:, [a for pair in LIMBS for a in pair]].reshape(frames, -1, 2, 2), axis=2), axis=-1
    )
    assert np.ptp(limbs[:, 6:], axis=0).max() < 1e-6  # arms and legs keep their lengths


def test_vip_void_is_optional(draw_small, tmp_path):
    for name, words, most in (("plain", (), 19), ("void", ("--void",), 255)):
        assert draw_small("vip", tmp_path / name, *words) == 0
        masks = [np.asarray(Image.open(path)) for path in (tmp_path / name).rglob("*.png")]
        assert max(mask.max() for mask in masks) == most


def test_coco_annotations_decode_to_what_they_say(drawn):
    from pycocotools.coco import COCO

    coco = COCO(str(drawn["coco"] / "annotations" / "instances_train2017.json"))
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        assert mask.sum() == annotation["area"]
        x, y, w, h = annotation["bbox"]
        assert mask[y : y + h, x : x + w].sum() == mask.sum()
        assert all(edge.any() for edge in (mask[y], mask[y + h - 1], mask[:, x], mask[:, x + w - 1]))
    assert [a["iscrowd"] for a in coco.anns.values()].count(1) == 1
    assert any(not coco.imgToAnns[number] for number in coco.imgs)
    ids = sorted(coco.cats)
    assert ids != list(range(1, len(ids) + 1))
    for image in coco.imgs.values():
        masks = sum(coco.annToMask(a).astype(int) for a in coco.imgToAnns[image["id"]])
        assert np.max(masks) <= 1  # each pixel belongs to the object that is seen there
        assert cv2.imread(str(drawn["coco"] / "train2017" / image["file_name"])).shape[:2] == (96, 128)


def test_coco_objects_hidden_in_part_lose_that_part():
    """An object behind another is cut where it is hidden, in as many polygons as parts remain."""
    from pycocotools import mask as mask_tools

    rng = np.random.default_rng(0)
    ring = np.zeros((40, 50), bool)
    ring[5:35, 5:35] = True
    ring[12:20, 12:30] = ring[24:30, 10:14] = False  # two holes
    stripes = np.zeros((40, 50), bool)
    stripes[10:20, 3:9] = stripes[10:20, 20:30] = stripes[0, 49] = True
    noise = cv2.blur(rng.random((40, 50)), (5, 5)) > 0.5
    for mask, parts in ((ring, None), (stripes, 3), (noise, None), (~ring, None)):
        polygons = mask_to_polygons(mask)
        assert parts is None or len(polygons) == parts
        runs = mask_tools.merge(mask_tools.frPyObjects(polygons, 40, 50))
        assert np.array_equal(mask_tools.decode(runs), mask)
        runs = mask_to_runs(mask)
        assert np.array_equal(mask_tools.decode(mask_tools.frPyObjects(runs, 40, 50)), mask)
    assert mask_to_polygons(np.zeros((4, 4), bool)) == []
    assert mask_to_runs(np.zeros((2, 3), bool))["counts"] == [6]
    assert mask_to_runs(np.ones((2, 3), bool))["counts"] == [0, 6]


def test_uavdt_boxes_lie_in_the_frame_and_flags_are_known(drawn):
    root = drawn["uavdt"]
    truth = root / "UAV-benchmark-MOTD_v1.0" / "GT"
    assert sorted(path.name for path in (root / "UAV-benchmark-M").iterdir()) == ["M0101", "M0201", "M0202", "M0203"]
    whole = np.concatenate(
        [np.loadtxt(path, delimiter=",", ndmin=2) for path in truth.glob("M0[12]0[13]_gt_whole.txt")]
    )
    assert whole.shape[1] == 9
    frame, _, left, top, width, height, out, occluded, category = whole.T
    assert frame.min() == 1
    assert frame.max() == 3
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + width <= 160).all()
    assert (top + height <= 96).all()
    assert set(out) <= {1, 2, 3}
    assert set(occluded) <= {1, 2, 3, 4}
    assert set(category) <= {1, 2, 3}
    # The third clip of the train list starts with empty roads.
    quiet = (truth / "M0202_gt_whole.txt").read_text().splitlines()
    assert not any(line.startswith("1,") for line in quiet)
    ignored = [line.split(",") for path in truth.glob("*_gt_ignore.txt") for line in path.read_text().split()]
    assert ignored
    assert all(len(cells) == 9 and cells[6:] == ["1", "-1", "-1"] for cells in ignored)


def test_out_of_view_and_occlusion_codes():
    assert [out_of_view(share) for share in (0, 0.2, 0.4)] == [1, 3, 2]
    assert [occlusion(share) for share in (0, 0.2, 0.5, 0.8)] == [1, 4, 3, 2]
    square = np.array([(-5.0, 10.0), (5, 10), (5, 20), (-5, 20)])
    assert clipped_box(square, 100, 100) == ((0, 10, 5, 10), pytest.approx(0.5))
    assert clipped_box(square - 50, 100, 100)[0] is None


def test_vehicles_at_night_are_darker(draw_small, drawn):
    frames = drawn["uavdt"] / "UAV-benchmark-M"
    day, night = (cv2.imread(str(frames / name / "img000001.jpg")).mean() for name in ("M0101", "M0201"))
    assert night < 0.7 * day


def test_coco_categories_are_shapes(drawn):
    content = json.loads((drawn["coco"] / "annotations" / "instances_val2017.json").read_text())
    assert {c["id"]: c["name"] for c in content["categories"]} == {1: "disc", 3: "triangle", 4: "star", 9: "cross"}
    assert len({image["id"] for image in content["images"]}) == 3


def test_segmentation_masks_hold_every_class_and_void_borders(draw_small, tmp_path):
    assert draw_small("segment", tmp_path / "segment", "--count", 12) == 0
    data = open_segmentation(tmp_path / "segment")
    assert data.classes == ("background", "disc", "triangle", "star", "cross")
    split = data.split("train")
    masks = [split.mask(index) for index in range(len(split))]
    assert set(np.unique(masks).tolist()) == {0, 1, 2, 3, 4, 255}
    shares = np.array([[(mask == number).mean() for number in (0, 255)] for mask in masks])
    assert shares[:, 0].max() < 0.98
    assert shares[:, 1].max() < 0.2
    assert len({mask.tobytes() for mask in masks}) == 12
