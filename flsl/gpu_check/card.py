"""Say what a machine has and what torch really does on it: versions, memory, attention kernels, float32, two ceilings.

python -m flsl.gpu_check.card --device cuda --json FILE
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from flsl.runtime.device import choose_device
from flsl.runtime.files import write_text

PACKAGES = (
    "torch", "torchvision", "timm", "numpy", "triton", "pydantic", "onedl-mmcv", "onedl-mmdetection", "opencv-python",
    "simplejpeg",
)  # fmt: skip
# Batch, heads, tokens: of ViT-S/16 and ViT-S/8 at 224 pixels, and of a detector's image of 800 x 1216 at patch 16.
ATTENTION = {"S/16": (64, 6, 196), "S/8": (16, 6, 784), "detector": (2, 6, 3800)}
FLOAT32 = 1e-5  # relative error that float32 stays below; TF32 has about 3e-4
MATRIX, COPIED = 8192, 2**31  # rows and columns of a product; bytes of a copy


def main() -> int:
    """Print and write the rows; returns 1 where float32 is something else."""
    parser = argparse.ArgumentParser(prog="python -m flsl.gpu_check.card", description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    rows: list[dict[str, Any]] = []
    wrong = []
    for find in (versions, switches, float32, attention, ceilings):
        for row in find(device):
            rows.append(row)
            print(row, flush=True)
            write_text(arguments.json, json.dumps(rows, indent=1))
            if row.get("error", 0.0) > FLOAT32:
                wrong.append(row["what"])
    if wrong:
        print(f"float32 is not float32 in {', '.join(wrong)}: relative errors above {FLOAT32:g}, as TF32 has them")
    return 1 if wrong else 0


def versions(device: torch.device) -> list[dict[str, Any]]:
    """Name the machine, the card and the packages."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    rows: list[dict[str, Any]] = [
        {"what": "versions", "platform": f"{platform.system()} {platform.machine()}", "packages": found}
    ]
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        rows.append(
            {
                "what": "card",
                "name": about.name,
                "capability": f"{about.major}.{about.minor}",
                "multiprocessors": about.multi_processor_count,
                "memory_gib": about.total_memory / 2**30,
                "cuda": torch.version.cuda,
                "cudnn": torch.backends.cudnn.version(),
            }
        )
    return rows


def switches(device: torch.device) -> list[dict[str, Any]]:
    """Return what a program of this project leaves switched on."""
    states = {
        "matmul_tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "flash": torch.backends.cuda.flash_sdp_enabled(),
        "efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
        "cudnn_attention": torch.backends.cuda.cudnn_sdp_enabled(),
    }
    return [{"what": "switches", **{name: str(state) for name, state in states.items()}}]


def float32(device: torch.device) -> list[dict[str, Any]]:
    """Compare float32 products and convolutions with float64."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(384, 384, generator=generator, dtype=torch.float64) for _ in range(2))
    images = torch.randn(2, 3, 64, 64, generator=generator, dtype=torch.float64)
    kernel = torch.randn(32, 3, 16, 16, generator=generator, dtype=torch.float64)
    operations: dict[str, tuple[Callable[..., torch.Tensor], tuple[torch.Tensor, ...]]] = {
        "float32 matrix product": (torch.matmul, (a, b)),
        "float32 convolution": (lambda x, w: F.conv2d(x, w, stride=16), (images, kernel)),
    }
    rows = []
    for name, (operation, given) in operations.items():
        exact = operation(*given)
        found = operation(*(tensor.float().to(device) for tensor in given)).double().cpu()
        rows.append({"what": name, "error": float((found - exact).norm() / exact.norm()), "limit": FLOAT32})
    return rows


def attention(device: torch.device) -> list[dict[str, Any]]:
    """Return which kernels attention really starts, by the profiler, forward and backward."""
    if device.type != "cuda":
        return []
    rows = []
    for name, (batch, heads, tokens) in ATTENTION.items():
        for dtype in (torch.bfloat16, torch.float16, torch.float32):
            q, k, v = (
                torch.randn(batch, heads, tokens, 64, device=device, dtype=dtype, requires_grad=True) for _ in range(3)
            )
            F.scaled_dot_product_attention(q, k, v).sum().backward()
            torch.cuda.synchronize(device)
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
                F.scaled_dot_product_attention(q, k, v).sum().backward()
                torch.cuda.synchronize(device)
            spent = {event.key: event.self_device_time_total for event in profile.key_averages()}
            kernels = sorted((key for key in spent if "elementwise" not in key), key=lambda key: -spent[key])[:2]
            precision = str(dtype).removeprefix("torch.")
            rows.append(
                {"what": f"attention {name}", "precision": precision, "kernels": " | ".join(k[:50] for k in kernels)}
            )
    return rows


def ceilings(device: torch.device) -> list[dict[str, Any]]:
    """Measure what bounds every program here: the rate of a large copy and of a large product, on random data."""
    if device.type != "cuda":
        return []
    source = torch.randint(0, 256, (COPIED,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    a, b = (torch.randn(MATRIX, MATRIX, device=device, dtype=torch.bfloat16) for _ in range(2))
    copied, multiplied = _seconds(lambda: target.copy_(source), device), _seconds(lambda: a @ b, device)
    return [
        {"what": "copy on the device, read and written", "gb_per_second": 2 * COPIED / copied / 1e9},
        {"what": "bf16 product", "tflops": 2 * MATRIX**3 / multiplied / 1e12},
    ]


def _seconds(call: Callable[[], Any], device: torch.device, times: int = 10) -> float:
    """Return the median seconds of a call, after three that only warm up."""
    found = []
    for turn in range(times + 3):
        torch.cuda.synchronize(device)
        begin = time.perf_counter()
        call()
        torch.cuda.synchronize(device)
        if turn >= 3:
            found.append(time.perf_counter() - begin)
    return sorted(found)[len(found) // 2]


if __name__ == "__main__":
    raise SystemExit(main())
