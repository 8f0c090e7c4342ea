# One image for the controller and the agent: they share most of their code, and a node that runs both pulls one.
# BASE_IMAGE may be any image with a python3 of 3.11 or newer and venv; the same one is built on and run on.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS dependencies
RUN python3 -m venv --without-pip /opt/oomkeeper && python3 -m venv /opt/pip
COPY requirements-image.lock /src/
# The certificates that the building machine trusts, where it gives them: a company's proxy is unknown to pip.
# The package lies in a folder of its own, which a .pth file names: a change of code is then a small layer.
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
# The package is pure Python: its files are all there is to install.
COPY operator/oomkeeper /opt/oomkeeper/app/oomkeeper
RUN /opt/oomkeeper/bin/python -m compileall -q -j 0 /opt/oomkeeper/app

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="oomkeeper" \
      org.opencontainers.image.description="Keeps nodes' out-of-memory behaviour as policy says and explains every OOM kill" \
      org.opencontainers.image.licenses="Apache-2.0"
# USER, because a uid without a line in /etc/passwd has no name, and kopf asks for one.
ENV PATH=/opt/oomkeeper/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp USER=oomkeeper
# Nobody in particular: the agent's DaemonSet asks for uid 0, nothing else needs it.
USER 65532:65532
ENTRYPOINT ["oomkeeper"]
COPY --from=dependencies /opt/oomkeeper /opt/oomkeeper
COPY --from=code /opt/oomkeeper/app /opt/oomkeeper/app
