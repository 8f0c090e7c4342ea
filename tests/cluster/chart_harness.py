"""The chart on an API server, installed by helm: everything of it but the pods."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed import ControlPlane, recipes
from tests.testbed import control_plane as run_control_plane
from tests.testbed.binaries import binaries
from tests.testbed.cache import Say

from .controller_harness import ROOT, Harness, Json

CHART = ROOT / "charts" / "oomkeeper"
RELEASE, NAMESPACE = "oomkeeper", "oomkeeper-system"


class HelmError(AssertionError):
    """helm said no; the text is its stderr."""


@dataclass(frozen=True, kw_only=True)
class Helm:
    """helm, with folders of its own."""

    program: Path
    folder: Path
    kubeconfig: Path | None = None

    def __call__(self, *arguments: str | Path) -> str:
        """Its stdout. Raises HelmError."""
        environment = {
            **os.environ,
            **{f"HELM_{kind}_HOME": str(self.folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")},
            "KUBECONFIG": str(self.kubeconfig or "/dev/null"),
        }
        command = [str(self.program), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise HelmError(done.stderr.strip())
        return done.stdout

    def rendered(self, *arguments: str) -> list[Json]:
        """The objects of `helm template`."""
        import yaml

        version = f"--kube-version={recipes.KUBERNETES_VERSION}"
        text = self("template", RELEASE, CHART, f"--namespace={NAMESPACE}", version, *arguments)
        return [one for one in yaml.safe_load_all(text) if one]


def helm(folder: Path, *, say: Say, kubeconfig: Path | None = None) -> Helm:
    """helm from the testbed's cache, built where it is not there yet."""
    program = binaries((recipes.HELM,), say=say)["helm"]
    return Helm(program=program, folder=folder, kubeconfig=kubeconfig)


@dataclass(frozen=True, kw_only=True)
class ChartHarness:
    """An API server with the chart installed, and the identities that its pods would have."""

    plane: ControlPlane
    harness: Harness
    helm: Helm

    def account(self, name: str) -> str:
        """User name of one of the chart's service accounts (`agent`, `controller`)."""
        return f"system:serviceaccount:{NAMESPACE}:{RELEASE}-{name}"

    def token(self, name: str, *, node: str | None = None) -> str:
        """As a pod of the account on `node` has it; without one, bound to no pod."""
        return self.plane.service_account_token(name=f"{RELEASE}-{name}", namespace=NAMESPACE, node=node)

    def kubeconfig(self, name: str, *, node: str | None = None) -> Path:
        """A kubeconfig of such a pod."""
        token = self.token(name, node=node)
        return self.plane.kubeconfig_for(user=f"{name}-{node or 'unbound'}", token=token)

    def used(self, name: str) -> set[tuple[str, str, str]]:
        """(API group, resource, verb) of every request that an account has made and was allowed, as RBAC
        sees it; those for no resource aside."""
        found: set[tuple[str, str, str]] = set()
        for event in self.plane.requests(user=self.account(name)):
            reference, code = event.get("objectRef", {}), event.get("responseStatus", {}).get("code")
            if "resource" not in reference or code == 403:
                continue
            subresource = f"/{reference['subresource']}" if "subresource" in reference else ""
            resource = (reference.get("apiGroup", ""), reference["resource"] + subresource)
            found.add((*resource, event["verb"]))
            # A server-side apply that makes the object has to be allowed both (apiserver
            # endpoints/handlers/patch.go).
            if event["verb"] == "patch" and code == 201:
                found.add((*resource, "create"))
        return found

    def refused(self, name: str) -> list[str]:
        """Requests of an account that were forbidden: verb and path."""
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in self.plane.requests(user=self.account(name))
            if event.get("responseStatus", {}).get("code") == 403
        ]

    def granted(self, name: str) -> set[tuple[str, str, str]]:
        """What the chart's ClusterRole of an account allows."""
        return set(
            rules_of(json.loads(self.plane.kubectl("get", "clusterrole", f"oomkeeper-{name}", "-ojson")))
        )


def rules_of(role: Json) -> Iterator[tuple[str, str, str]]:
    """(API group, resource, verb) of a role."""
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb


@contextmanager
def chart_on_an_api_server(*, say: Say, arguments: Sequence[str] = ()) -> Iterator[ChartHarness]:
    """helm install on a control plane of its own, which keeps an audit log."""
    with run_control_plane(say=say, audit=True) as plane:
        made = helm(plane.folder / "helm", say=say, kubeconfig=plane.kubeconfig)
        made("install", RELEASE, CHART, f"--namespace={NAMESPACE}", "--create-namespace", *arguments)
        yield ChartHarness(plane=plane, harness=Harness(plane=plane), helm=made)


def object_named(objects: Sequence[Json], kind: str, name: str) -> Json:
    """One of many manifests."""
    [found] = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def of_kind(objects: Sequence[Json], kind: str) -> list[Any]:
    return [one for one in objects if one["kind"] == kind]
