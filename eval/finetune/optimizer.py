"""AdamW as the recipes ask for it: what is decayed, which learning rate each block has, and bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from torch import nn

ENCODER = "backbone.encoder."  # a network of timm's own lies one level deeper, in `network.`


def parameter_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, layer_decay: float | None
) -> list[dict]:
    """Return AdamW's groups for the trainable parameters of a model.

    Norms and position embeddings are not decayed (docs/protocols.md, "COCO 2017"). With `layer_decay` d, block i of n
    learns with learning_rate * d ** (n - i), patch and position embedding with d ** (n + 1); everything else with
    learning_rate.
    """
    encoder: Any = model.get_submodule("backbone.encoder")
    depth = encoder.depth
    norms = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
    undecayed = {id(p) for module in model.modules() if isinstance(module, norms) for p in module.parameters()}
    groups: dict[tuple[float, float], dict] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        distance = 0
        if layer_decay is not None and name.startswith(ENCODER):
            part = name.removeprefix(ENCODER).removeprefix("network.").split(".")
            distance = depth - int(part[1]) if part[0] == "blocks" else depth + 1
        rate = learning_rate * (layer_decay or 1.0) ** distance
        decay = 0.0 if id(parameter) in undecayed or name.endswith("pos_embed") else weight_decay
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class EncoderOptimizer:
    """Builds the optimizer wrapper; mmengine calls it with the model (unwrapped or in data parallelism)."""

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        """Take mmengine's two dictionaries; `paramwise_cfg` holds `layer_decay`."""
        self.wrapper = dict(optim_wrapper_cfg)
        self.layer_decay = (paramwise_cfg or {}).get("layer_decay")

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Return the wrapper around AdamW over `model`'s parameter groups."""
        settings = dict(self.wrapper.pop("optimizer"))
        settings.pop("type")  # always AdamW; named in the configuration for its readers
        model = getattr(model, "module", model)
        groups = parameter_groups(model, settings["lr"], settings["weight_decay"], self.layer_decay)
        return OPTIM_WRAPPERS.build(self.wrapper, default_args={"optimizer": torch.optim.AdamW(groups, **settings)})


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass in bfloat16, on any device; its range needs no loss scaling."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast around a training step's forward pass."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield
