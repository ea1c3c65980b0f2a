"""A COCO recipe: the detector's sections (`eval.detector.recipe`) and where its data lie."""

from dataclasses import field

from eval.detector.recipe import Recipe
from flsl.runtime.schema import section


@section
class DataSection:
    """Files below --data; the defaults are COCO 2017's own layout. Any data set in COCO format will do."""

    train_annotations: str = "annotations/instances_train2017.json"
    train_images: str = "train2017"
    val_annotations: str = "annotations/instances_val2017.json"
    val_images: str = "val2017"


@section
class CocoRecipe(Recipe):
    """One recipe of configs/coco/."""

    data: DataSection = field(default_factory=DataSection)
