"""Reader of the FLSL reference cases: a case file describes a model, its inputs, and what the step must give.

The vocabulary is complete: a key or value that is not known here is an error, never ignored.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.reference import read_case, reference_files

from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_strictly
from flsl.encoder import Encoder
from flsl.model import FLSL, EarlierStage, StepValues
from flsl.objective import HeadConfig, Loss, Stage, Temperature

KEPT = Path(__file__).resolve().parent.parent / "flsl" / "cases"
KNOWN = {
    "encoder": "patch_size embed_dim depth num_heads mlp_ratio qkv_bias layernorm_eps class_token position_embedding "
    "pretraining_grid final_layernorm stochastic_depth",
    "head": "layers hidden_dim bottleneck_dim K activation norm_last_layer",
    "views": "batch global_size local_size n_local",
    "sampling": "mode window_global window_local queries_global queries_local rows_total",
    "mean_shift": "scale_sa scale_ca layernorm_on_mode note",
    "temperatures": "tau_s tau_t epoch warmup note",
    "coefficients": "upsilon eta gamma note",
    "options": "vmr vmr_prior centering center_momentum post_layernorm multistage",
    "multistage": "attention_level prev_scale_ca map_sharpness mixture",
}


def case_files(holding: str) -> list[Any]:
    """The case files in `flsl/` that have an array whose name begins or ends so, as parameters."""
    return reference_files("flsl/*.npz", KEPT, holding)


class Case:
    """One case file."""

    def __init__(self, path: Path, device: torch.device | str = "cpu"):
        """Read it; tensors and models are put on `device`."""
        self.arrays, self.config = read_case(path)
        self.device = device
        for section, keys in KNOWN.items():
            unknown = set(self.config.get(section) or {}) - set(keys.split())
            assert not unknown, f"{path}: unknown options in {section}: {sorted(unknown)}"
        encoder, options = self.config["encoder"], self.config["options"]
        assert (encoder["qkv_bias"], encoder["layernorm_eps"], encoder["stochastic_depth"]) == (True, 1e-6, 0.0)
        assert encoder["position_embedding"] in ("sincos", "learned")
        assert self.config["head"]["activation"] == "gelu"
        assert self.config["sampling"]["mode"] in ("stride", "random")
        assert options["vmr_prior"] == "uniform"

    def tensors(self, prefix: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Arrays under `prefix/`, as float tensors of `dtype`."""
        start = prefix + "/"
        return {k[len(start) :]: self.tensor(k).to(dtype) for k in self.arrays if k.startswith(start)}

    def tensor(self, name: str) -> torch.Tensor:
        """One array."""
        return torch.from_numpy(self.arrays[name]).to(self.device)

    def build(self, dtype: torch.dtype, weights: str = "", kind: type[FLSL] = FLSL) -> Any:
        """Build the model that the config describes and load its weights, strictly."""
        encoder, head, options = self.config["encoder"], self.config["head"], self.config["options"]
        settings = dict(
            architecture="custom",
            patch_size=encoder["patch_size"],
            image_size=encoder["pretraining_grid"] * encoder["patch_size"],
            embed_dim=encoder["embed_dim"],
            depth=encoder["depth"],
            num_heads=encoder["num_heads"],
            mlp_ratio=encoder["mlp_ratio"],
            class_token=encoder["class_token"],
            position_embedding=encoder["position_embedding"],
            final_norm=encoder["final_layernorm"],
        )
        stage = self.config.get("multistage") if options["multistage"] else None
        previous = None
        if stage:
            section = Stage("prev", stage["attention_level"], stage["prev_scale_ca"], stage["map_sharpness"])
            previous = EarlierStage(self.previous_encoder(settings, stage["attention_level"]), section)
        loss = Loss(
            eta=self.config["coefficients"]["eta"],
            gamma=self.config["coefficients"]["gamma"],
            volume_maximization=options["vmr"],
            centering=options["centering"],
            center_momentum=options["center_momentum"],
            layernorm_on_mode=self.config["mean_shift"]["layernorm_on_mode"],
        )
        model = kind(
            EncoderConfig(**settings),
            HeadConfig(head["K"], head["hidden_dim"], head["bottleneck_dim"], head["layers"], head["norm_last_layer"]),
            temperature=Temperature(student=self.config["temperatures"]["tau_s"]),
            loss=loss,
            previous=previous,
        )
        student = self.tensors(f"{weights}student", torch.float32)
        teacher = student if weights else self.tensors("teacher", torch.float32)
        # What takes no part in the computation: the class token that the authors' models keep, the norm of an encoder without.
        unused = {"backbone.cls_token"} if model.student.backbone.cls_token is None else set()
        if not model.student.backbone.config.final_norm:
            unused |= {"backbone.norm.weight", "backbone.norm.bias"}
        for network, state in ((model.student, student), (model.teacher, teacher)):
            load_strictly(network, {key: value for key, value in state.items() if key not in unused}, "case")
        if "center_before" in self.arrays:
            model.center = self.tensor("center_before")
        return model.to(self.device, dtype)

    def previous_encoder(self, settings: dict, level: int) -> torch.nn.Module:
        """Build the earlier stage's encoder: the same shape, `level` blocks, no final norm."""
        state = {k.removeprefix("backbone."): v for k, v in self.tensors("prev", torch.float32).items()}
        depth = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
        assert depth >= level
        has_norm = "norm.weight" in state
        encoder = Encoder(EncoderConfig(**{**settings, "depth": depth, "final_norm": has_norm}))
        if encoder.cls_token is None:
            state.pop("cls_token", None)
        load_strictly(encoder, state, "earlier stage")
        return encoder

    def inputs(self, dtype: torch.dtype, batch: str = "") -> tuple[list, list, list]:
        """Views, query indices and (multi-stage) crops."""
        views = [v for _, v in sorted(self.tensors(f"{batch}views", dtype).items(), key=lambda kv: int(kv[0]))]
        masks = [self.arrays[f"{batch}masks/{i}"] for i in range(1, len(views))]
        crops = [v for _, v in sorted(self.tensors(f"{batch}crops", dtype).items(), key=lambda kv: int(kv[0]))]
        return views, [query_indices(mask).to(self.device) for mask in masks], crops

    def limit(self, usual: float, *names: str) -> float:
        """A limit in float32: the usual one, or a few times what the public code itself differs by, if the case says more."""
        spread = self.config.get("spread_float32_run", {})
        return max([usual, *(4 * spread[name] for name in names if name in spread)])

    def values(self) -> StepValues:
        """The scheduled values of a single-step case."""
        shift = self.config["mean_shift"]
        stage = self.config.get("multistage") if self.config["options"]["multistage"] else None
        return StepValues(
            shift["scale_sa"],
            shift["scale_ca"],
            self.config["temperatures"]["tau_t"],
            self.config["coefficients"]["upsilon"],
            stage["mixture"] if stage else 1.0,
        )


def query_indices(mask: np.ndarray) -> torch.Tensor:
    """Turn a boolean mask `(B, N)` with equally many tokens a row into indices `(B, Q)` in raster order."""
    return torch.from_numpy(np.stack([np.flatnonzero(row) for row in mask]))
