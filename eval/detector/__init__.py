"""Training and running the detectors (Mask R-CNN, Faster R-CNN) on any data set in COCO format; COCO and UAVDT share it.

    from eval.detector.recipe import Recipe, read_recipe
    recipe, config = read_recipe(path, overrides)        # frozen dataclass, and the resolved config for the record
                                                         # (own sections: subclass Recipe, read_recipe(..., cls=Mine))

    from eval.detector.train import train_detector
    detector = train_detector(                           # -> OUT/detector.safetensors
        recipe, checkpoint, annotations=JSON, images=DIR, out=OUT, seed=0, device=torch.device("cpu"))

    from eval.detector.detect import detect
    detections = detect(                                 # COCO results: image_id, category_id, bbox x y w h, score,
        recipe, detector, annotations=JSON, images=DIR,  # and segmentation (RLE) from Mask R-CNN; written to `out` first
        out=OUT / "detections.json", device=torch.device("cpu"))

`checkpoint` is what `flsl.checkpoint.load_encoder` takes. `annotations` is a COCO instances JSON whose `file_name`s lie
below `images`; annotations with `iscrowd` 1 are ignored regions (`model.ignore_overlap` says from which overlap on
candidates are ignored in training). Progress goes to standard output, everything else to OUT/train/train.log.
`train_detector` returns at once if OUT/detector.safetensors is there, and resumes OUT/train if it was interrupted; whose
folder it is, `eval.run.Run.claim` has decided before. Where a training stopped and how many processes load its images
change no weight. A recipe's identity is `identity_of(recipe)`.
Importing these modules takes seconds (torch, mmdet): do it inside a command's `run`.
"""
