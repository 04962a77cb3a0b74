# syntax=docker/dockerfile:1.7
# Images with evolgrid for pods and single machines (docs/cluster.md):
#   docker build --target cuda -t REGISTRY/evolgrid:0.1.0 .      with vLLM, for NVIDIA GPUs; needs only the node's driver
#   docker build --target cpu -t REGISTRY/evolgrid:0.1.0-cpu .
# To pin the base by its digest: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# The environment is made in stages of its own: compilers and pip's files stay out of the images.
# Libraries come before the code, so that a change of the code keeps their layers.
# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PATH=/opt/evolgrid/bin:$PATH
WORKDIR /src
RUN python -m venv /opt/evolgrid
COPY pyproject.toml scripts/requirements.py ./

FROM build AS build-cpu
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=s3,gcs,eval
# hadolint ignore=DL3013,DL3042
RUN --mount=type=cache,target=/root/.cache/pip pip install --quiet --index-url "${TORCH_INDEX}" "${TORCH}"
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip python requirements.py "${EXTRAS}" > requirements.txt \
    && pip install --quiet -r requirements.txt
COPY . .
RUN pip install --quiet --no-cache-dir --no-deps .

FROM build AS build-cuda
ARG TORCH=torch==2.13.0
ARG EXTRAS=s3,gcs,eval,vllm,deepspeed
# hadolint ignore=DL3013,DL3042
RUN --mount=type=cache,target=/root/.cache/pip pip install --quiet "${TORCH}"
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip python requirements.py "${EXTRAS}" > requirements.txt \
    && pip install --quiet -r requirements.txt
COPY . .
RUN pip install --quiet --no-cache-dir --no-deps .

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS runtime
# gcc: Triton compiles kernels when they are first used; wget: KubeRay's probes
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --gid users --create-home --home-dir /srv/evolgrid evolgrid
ENV PATH=/opt/evolgrid/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /srv/evolgrid
USER 1000
CMD ["evolgrid", "--help"]

FROM runtime AS cpu
COPY --from=build-cpu /opt/evolgrid /opt/evolgrid
COPY --chown=evolgrid:users studies studies

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /opt/evolgrid /opt/evolgrid
COPY --chown=evolgrid:users studies studies
