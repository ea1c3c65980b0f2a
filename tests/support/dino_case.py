"""Reader of the DINO reference cases: a key or value that is not known here is an error, never ignored."""

from pathlib import Path

import torch
from support.reference import read_case, reference_files

from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_strictly
from flsl.objective import HeadConfig
from pretrain.batch import Batch
from pretrain.methods.dino import Method
from pretrain.schedules import teacher_temperature_schedule

KEPT = Path(__file__).resolve().parent.parent / "pretrain" / "cases"
KNOWN = {
    "encoder": "embed_dim depth num_heads patch_size pretraining_grid class_token position_embedding mlp_ratio qkv_bias "
    "layernorm_eps note",
    "head": "K hidden_dim bottleneck_dim layers norm_last_layer note",
    "views": "batch n_global n_local global_size local_size note",
    "temperatures": "student warmup_teacher teacher warmup_epochs epoch note",
}


def dino_cases():
    """The case files in `dino/`, as parameters."""
    return reference_files("dino/*.npz", KEPT, "expect/")


class DinoCase:
    """One case file."""

    def __init__(self, path):
        self.arrays, self.config = read_case(path)
        for section, keys in KNOWN.items():
            unknown = set(self.config[section]) - set(keys.split())
            assert not unknown, f"{path}: unknown options in {section}: {sorted(unknown)}"
        assert self.config["encoder"].get("layernorm_eps", 1e-6) == 1e-6

    def tensors(self, prefix, dtype):
        """Arrays under `prefix/`, as tensors of `dtype`."""
        start = prefix + "/"
        return {k[len(start) :]: torch.from_numpy(v).to(dtype) for k, v in self.arrays.items() if k.startswith(start)}

    def build(self, dtype):
        """The method with the case's weights and center."""
        encoder, head = self.config["encoder"], self.config["head"]
        config = EncoderConfig(
            "custom",
            encoder["patch_size"],
            encoder["pretraining_grid"] * encoder["patch_size"],
            embed_dim=encoder["embed_dim"],
            depth=encoder["depth"],
            num_heads=encoder["num_heads"],
            mlp_ratio=encoder.get("mlp_ratio", 4.0),
            qkv_bias=encoder.get("qkv_bias", True),
            class_token=encoder["class_token"],
            position_embedding=encoder.get("position_embedding", "learned"),
        )
        sizes = HeadConfig(
            head["K"], head["hidden_dim"], head["bottleneck_dim"], head["layers"], head["norm_last_layer"]
        )
        momentum = self.config["center_momentum"]
        model = Method(config, sizes, self.config["temperatures"]["student"], momentum).to(dtype)
        for side in ("student", "teacher"):
            load_strictly(getattr(model, side), self.tensors(side, dtype), f"case ({side})")
        model.teacher_views = self.config["views"]["n_global"]
        model.center.copy_(torch.from_numpy(self.arrays["center_before"]))
        return model

    def batch(self, dtype):
        """All views, the global ones first."""
        views = self.tensors("views", dtype)
        return Batch([views[name] for name in sorted(views, key=int)])

    def values(self):
        """The teacher's temperature in the case's epoch."""
        of = self.config["temperatures"]
        ramp = teacher_temperature_schedule(of["warmup_teacher"], of["teacher"], of["warmup_epochs"], of["epoch"] + 1)
        return {"tau_teacher": float(ramp[of["epoch"]])}
