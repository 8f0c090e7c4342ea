# One image for the controller and the agent: they share most of their code, and a node that runs both pulls only one.
# BASE_IMAGE may be any image with Python 3.11 or newer and venv; it is both the build and the runtime image.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS dependencies
RUN python3 -m venv --without-pip /opt/oomkeeper && python3 -m venv /opt/pip
COPY requirements-image.lock /src/
# The certificates that the building machine trusts, if given: pip does not know a company's proxy.
# The package is in a directory of its own, named by a .pth file, so that a code change is a small layer.
RUN --mount=type=secret,id=certificates,target=/run/secrets/certificates \
    if [ -s /run/secrets/certificates ]; then export PIP_CERT=/run/secrets/certificates; fi; \
    /opt/pip/bin/pip --python /opt/oomkeeper/bin/python install --no-cache-dir --no-compile --quiet \
        --disable-pip-version-check --require-hashes --only-binary :all: -r /src/requirements-image.lock \
    && /opt/oomkeeper/bin/python -m compileall -q -j 0 /opt/oomkeeper/lib \
    && echo /opt/oomkeeper/app \
        > "$(/opt/oomkeeper/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/oomkeeper.pth" \
    && printf '#!/bin/sh\nexec /opt/oomkeeper/bin/python -m oomkeeper "$@"\n' > /opt/oomkeeper/bin/oomkeeper \
    && chmod 755 /opt/oomkeeper/bin/oomkeeper

FROM dependencies AS code
# The package is pure Python: copying its files installs it.
COPY operator/oomkeeper /opt/oomkeeper/app/oomkeeper
RUN /opt/oomkeeper/bin/python -m compileall -q -j 0 /opt/oomkeeper/app

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="oomkeeper" \
      org.opencontainers.image.description="Enforces OOM settings on every Kubernetes node by policy and explains every OOM kill" \
      org.opencontainers.image.licenses="Apache-2.0"
# USER is set because the uid has no entry in /etc/passwd and kopf looks up the user's name.
ENV PATH=/opt/oomkeeper/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp USER=oomkeeper
# An unprivileged user: only the agent's DaemonSet sets uid 0.
USER 65532:65532
ENTRYPOINT ["oomkeeper"]
COPY --from=dependencies /opt/oomkeeper /opt/oomkeeper
COPY --from=code /opt/oomkeeper/app /opt/oomkeeper/app
