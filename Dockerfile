# The suite as one command, for the CPU or for a GPU:
#   docker build -t flsl .
#   docker build -t flsl:cuda --build-arg BASE=nvidia/cuda:12.6.3-runtime-ubuntu24.04 --build-arg TORCH=cu126 .
#   docker run --rm -v "$PWD:/data" flsl inspect encoder.safetensors
#   docker run --rm --gpus all --ipc host -v "$PWD:/data" flsl:cuda pretrain flsl_vit-s16_in1k_300e --data imagenet --out runs/s16
# BASE is any Debian or Ubuntu with Python 3.10 or newer in its archive. TORCH is PyTorch's build as uv names it: cpu, a tenth
# of the size, or cu126, cu128, ..., which bring their own CUDA libraries and need the host's driver alone; empty, PyPI's build,
# where PyTorch's own index is out of reach.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
ARG TORCH=cpu
ARG EXTRAS=detection,segmentation,hub

# g++: for packages that have no wheel for this Python.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates g++ python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

ENV VIRTUAL_ENV=/opt/flsl PATH=/opt/flsl/bin:$PATH PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1
RUN python3 -m venv "$VIRTUAL_ENV" && pip install --quiet uv

# PyTorch first: the largest layer changes least.
COPY constraints.txt /src/
RUN uv pip install ${TORCH:+--torch-backend "$TORCH"} -c /src/constraints.txt torch torchvision
COPY . /src/
# Servers have no libGL: the headless OpenCV goes over the full one.
RUN uv pip install ${TORCH:+--torch-backend "$TORCH"} -c /src/constraints.txt "/src[$EXTRAS]" \
    && uv pip install --reinstall --no-deps -c /src/constraints.txt opencv-python-headless \
    && flsl --help > /dev/null

# Caches of checkpoints live beside the data, so that they outlive the container.
ENV FLSL_CACHE=/data/.cache/flsl HF_HOME=/data/.cache/huggingface TORCH_HOME=/data/.cache/torch
WORKDIR /data
ENTRYPOINT ["flsl"]
CMD ["--help"]
