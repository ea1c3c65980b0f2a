"""The one rule of which type matrix products run in, and of whether a computation repeats bit for bit."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, cast

from flsl.runtime.errors import UserError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]


def choose_dtype(
    precision: Precision, device: "torch.device", key: str = "training.precision", *, float16_on_cpu: bool = False
) -> "torch.dtype":
    """Return the type that matrix products and convolutions run in; parameters stay float32.

    `auto` is bfloat16 where the hardware multiplies it: GPUs from Ampere on, CPUs with AMX (2.5 times faster than float32
    on a whole ViT-S/16 step) or AVX512-BF16 (1.6 times). Older GPUs, where torch would emulate it, get float16; other CPUs
    float32, since oneDNN's emulation is several times slower. `fp32` is float32 with all its 24 bits; only `tf32` lets a
    GPU round the factors to 11, in this whole process.

    Args:
        precision: what the recipe says.
        device: where the products run.
        key: the recipe's key, for messages.
        float16_on_cpu: whether the network runs in float16 on a CPU: transformers do, detectors do not.

    Raises:
        UserError: float16 or TF32 where it does not run, or bfloat16 on a GPU that lacks it.
    """
    import torch

    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        if precision == "bf16" and not has_bfloat16:
            raise UserError(f"{key} is bf16, which this GPU has no units for; use --set {key}=fp16")
        if precision == "auto":
            precision = "bf16" if has_bfloat16 else "fp16"
    else:
        if precision == "tf32" or (precision == "fp16" and not float16_on_cpu):
            raise UserError(f"{key} is {precision}, which needs a CUDA device; on a CPU use --set {key}=bf16 or fp32")
        if precision == "auto":
            units = (
                torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
            )
            precision = "bf16" if units.get("amx_bf16") or units.get("avx512_bf16") else "fp32"
    allow_tf32(precision == "tf32")
    types = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return types[precision]


def allow_tf32(allowed: bool) -> None:
    """Say whether float32 products of this process may be rounded to TF32. torch's own default is no for matrix
    products and yes for convolutions."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


@contextlib.contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """While entered, where that is wanted, equal inputs give equal bits on a GPU too; an operation that cannot promise it
    is an error. On a CPU that holds anyway.

    cuBLAS reads its setting when its first product runs: enter before any. Of the attention kernels flash (half
    precision) and the explicit product (float32) are kept; the others add up in the order in which blocks finish.
    """
    if not wanted:
        yield
        return
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cuda, fill = torch.backends.cuda, cast(Any, torch.utils.deterministic)
    before = (
        torch.are_deterministic_algorithms_enabled(),
        fill.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
        cuda.mem_efficient_sdp_enabled(),
        cuda.cudnn_sdp_enabled(),
    )

    def switch(algorithms: bool, filled: bool, benchmark: bool, efficient: bool, cudnn: bool) -> None:
        torch.use_deterministic_algorithms(algorithms)
        fill.fill_uninitialized_memory = filled  # a check for what is read before it is written, at a cost
        torch.backends.cudnn.benchmark = benchmark
        cuda.enable_mem_efficient_sdp(efficient)
        cuda.enable_cudnn_sdp(cudnn)

    switch(True, False, False, False, False)
    try:
        yield
    finally:
        switch(*before)
