"""Everything of ours that mmengine builds by name whatever the library: importing this module registers it."""

from typing import Any

from mmengine.registry import Registry
from torch import Tensor

from eval.finetune import backbone, losses, optimizer, states  # noqa: F401


def register_in_float32(registry: Registry, module: type, method: str = "forward") -> None:
    """Register a library's module, as `Float32NAME`, with what one of its methods returns cast to float32."""

    def cast(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = getattr(module, method)(self, *args, **kwargs)
        return found.float() if isinstance(found, Tensor) else tuple(output.float() for output in found)

    name = f"Float32{module.__name__}"
    registry.register_module(name=name, module=type(name, (module,), {method: cast}))
