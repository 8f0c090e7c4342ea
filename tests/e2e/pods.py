"""Pods that eat."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from tests.testbed.images import BUSYBOX_IMAGE

Json = dict[str, Any]

IMAGE = os.environ.get("OOMKEEPER_E2E_IMAGE", BUSYBOX_IMAGE)
"""Any with a shell and `tail`."""
EAT = "exec tail /dev/zero"
"""One process that eats until it is killed: the container ends with it."""
EAT_IN_CHILD = "tail /dev/zero; exec sleep 100000"
"""A child that is killed, and a container that lives on."""
REST = "exec sleep 100000"


def container(
    name: str,
    script: str,
    *,
    limit: str | None = "32Mi",
    request: str | None = None,
    cpu: str | None = None,
    **fields: Any,
) -> Json:
    """`limit` None: without one; `request` None: as much as the limit; `cpu` makes the pod Guaranteed."""
    made: Json = {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}
    if limit is not None:
        made["resources"] = {"limits": {"memory": limit, **({"cpu": cpu} if cpu else {})}}
    if request is not None:
        made["resources"]["requests"] = {"memory": request}
    return made


def pod_spec(*containers: Json, init: Sequence[Json] = (), restart: str = "Never", **fields: Any) -> Json:
    spec: Json = {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 0,
        "containers": [*containers],
        **fields,
    }
    if init:
        spec["initContainers"] = [*init]
    return spec


def pod(name: str, *containers: Json, **fields: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": pod_spec(*containers, **fields),
    }


def deployment(name: str, *containers: Json) -> Json:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(*containers, restart="Always")},
        },
    }


def job(name: str, *containers: Json, **fields: Any) -> Json:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, **fields, "template": {"spec": pod_spec(*containers)}},
    }
