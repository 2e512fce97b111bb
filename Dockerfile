# syntax=docker/dockerfile:1
# mmrsir with everything that `make demo` and tools/train.py need, for a CPU or for CUDA:
#   docker build --build-arg DEVICE=cpu -t mmrsir:cpu .
#   docker build --build-arg DEVICE=cuda -t mmrsir:cuda .
# docs/getting_started.md has the commands that run it.
ARG DEVICE=cpu

FROM python:3.11-slim-bookworm AS cpu
ENV FORCE_CUDA=0

# The CUDA release of the torch in requirements/torch.txt, with nvcc for mmcv's operators.
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04 AS cuda
ENV FORCE_CUDA=1

# hadolint ignore=DL3006
FROM ${DEVICE}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive \
    LANG=C.UTF-8 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1
# Ubuntu's Python comes in parts; the image for CPUs has its own and keeps it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ git make \
    && { command -v python3 \
        || apt-get install --yes --no-install-recommends python3 python3-dev python3-pip; } \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /mmrsir
COPY . .
RUN python3 dev/setup_env.py && rm -rf /root/.cache
# `make` finds the set-up done, and downloads nothing.
ENV PATH=/mmrsir/.venv/bin:${PATH}
VOLUME ["/mmrsir/data", "/mmrsir/work_dirs"]
CMD ["make", "help"]
