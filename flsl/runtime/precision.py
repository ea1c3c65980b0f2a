"""The one rule of which type matrix products run in."""

from typing import TYPE_CHECKING, Literal

from flsl.runtime.errors import UserError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def choose_dtype(
    precision: Precision, device: "torch.device", key: str = "training.precision", *, float16_on_cpu: bool = False
) -> "torch.dtype":
    """Return the type that matrix products and convolutions run in; parameters stay float32.

    `auto` is bfloat16 where the hardware multiplies it: GPUs from Ampere on, CPUs with AMX (2.5 times faster than float32
    on a whole ViT-S/16 step) or AVX512-BF16 (1.6 times). Older GPUs, where torch would emulate it, get float16; other CPUs
    float32, since oneDNN's emulation is several times slower.

    Args:
        precision: what the recipe says.
        device: where the products run.
        key: the recipe's key, for messages.
        float16_on_cpu: whether the network runs in float16 on a CPU: transformers do, detectors do not.

    Raises:
        UserError: float16 where it does not run, or bfloat16 on a GPU that lacks it.
    """
    import torch

    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        if precision == "bf16" and not has_bfloat16:
            raise UserError(f"{key} is bf16, which this GPU has no units for; use --set {key}=fp16")
        if precision == "auto":
            precision = "bf16" if has_bfloat16 else "fp16"
    else:
        if precision == "fp16" and not float16_on_cpu:
            raise UserError(f"{key} is fp16, which needs a CUDA device; on a CPU use --set {key}=bf16 or fp32")
        if precision == "auto":
            units = (
                torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
            )
            precision = "bf16" if units.get("amx_bf16") or units.get("avx512_bf16") else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
