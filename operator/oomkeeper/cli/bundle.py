"""`kubectl oom bundle`: one file for a ticket, without credentials."""

import io
import json
import secrets
import tarfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import click

from oomkeeper import __version__
from oomkeeper.agent.kube.client import resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.escaping import printable
from oomkeeper.model.times import format_time
from oomkeeper.model.units import bytes_text
from oomkeeper.reporting.doctor import finding_records, findings
from oomkeeper.reporting.redaction import Names, names_in, redact_object, without_credentials

from .cluster import Target, cluster_options, connected, list_raw
from .cluster_client import ClusterClient
from .doctor import read_facts
from .errors import BadInput
from .host import PATH

_OWN = "app.kubernetes.io/name=oomkeeper"
_MOST_OBJECTS = 5_000
_MOST_LOG_BYTES = 1 << 20
_NAMED = ("oomincidents", "containerkills")
_LISTS = {
    **{
        f"objects/{plural}": resource_path(plural)
        for plural in ("oompolicies", "oomnodes", "oomreports", *_NAMED)
    },
    "own/pods": "/api/v1/pods",
    "own/daemonsets": "/apis/apps/v1/daemonsets",
    "own/deployments": "/apis/apps/v1/deployments",
    "events": "/api/v1/events",
}
_EPILOG = """\
The file has: oomkeeper's objects (at most 5,000 of a kind, the newest), its own pods, DaemonSets and
Deployments with the values of environment variables redacted, the Events that it wrote, the last 1 MiB of the
log of each of its containers (and of the run before), versions of cluster and nodes, and the findings of
kubectl oom doctor. Secrets and ConfigMaps are not read. Tokens, passwords and keys in logs are redacted.

--redact-names replaces namespaces, nodes, workloads, pods, containers, processes and cgroups by hashes. They
are the same throughout the file, and they cannot be computed without the key, which is not stored.

Exit status: 0, also when something could not be read (manifest.json names it); 1 when nothing can be read or
the file cannot be written; 2 for a wrong command line or a file that exists."""


class _Bundle:
    """Files by name, and what could not be read."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.logs: dict[str, str] = {}
        self.problems: list[str] = []

    def lists(self, client: ClusterClient) -> None:
        """Read all lists; one that is refused is a problem, not the end. Raises ApiError without a
        connection."""
        for name, path in _LISTS.items():
            query = {"labelSelector": _OWN} if name.startswith("own/") else {}
            if name == "events":
                query = {"fieldSelector": "reportingComponent=oomkeeper"}
            try:
                found = list_raw(client, path, **query)
            except ApiError as error:
                if error.status is None:
                    raise
                self.problems.append(str(error))
                continue
            found.sort(key=_newest, reverse=True)
            if len(found) > _MOST_OBJECTS:
                self.problems.append(f"{name}: {len(found)} objects, the newest {_MOST_OBJECTS} are kept")
            self.documents[name] = [redact_object(one) for one in found[:_MOST_OBJECTS]]

    def add_logs(self, client: ClusterClient, *, most_pods: int) -> None:
        """Read the logs of oomkeeper's containers, those that are not ready first."""
        pods = sorted(self.documents.get("own/pods") or (), key=_is_ready)
        if len(pods) > most_pods:
            self.problems.append(f"logs: of {len(pods)} pods, {most_pods} are kept (--logs)")
        for pod in pods[:most_pods]:
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}/log"
            for container in (pod.get("spec") or {}).get("containers") or ():
                for run in ("current", "previous"):
                    query = {"previous": "true"} if run == "previous" else {}
                    try:
                        text = client.text(
                            path,
                            most_bytes=_MOST_LOG_BYTES,
                            container=container["name"],
                            limitBytes=str(_MOST_LOG_BYTES),
                            tailLines="5000",
                            **query,
                        )
                    except ApiError as error:
                        if run == "current":
                            self.problems.append(str(error))
                        continue
                    self.logs[f"logs/{namespace}_{name}_{container['name']}_{run}.log"] = without_credentials(
                        text
                    )

    def nodes(self, client: ClusterClient) -> list[dict[str, Any]]:
        """Return name, versions and conditions of every Node: no addresses, labels or images."""
        try:
            nodes = list_raw(client, "/api/v1/nodes")
        except ApiError as error:
            self.problems.append(str(error))
            return []
        return [
            {
                "name": node["metadata"]["name"],
                "nodeInfo": _without(node["status"].get("nodeInfo") or {}, ("machineID", "systemUUID")),
                "memory": (node["status"].get("capacity") or {}).get("memory"),
                "conditions": node["status"].get("conditions"),
            }
            for node in nodes
        ]

    def rename(self, names: Names) -> None:
        """Replace names by hashes everywhere."""
        self.documents = {file: names.value(document) for file, document in self.documents.items()}
        self.logs = {file: names.log(text) for file, text in self.logs.items()}
        self.problems = [names.text(problem) for problem in self.problems]

    def write(self, file: Path) -> int:
        """Write the archive, readable by its owner alone; return its size. Raises OSError."""
        with file.open("xb") as raw:
            file.chmod(0o600)
            with tarfile.open(fileobj=raw, mode="w:gz") as archive:
                for name, document in self.documents.items():
                    text = json.dumps(document, indent=1, ensure_ascii=False)
                    _add(archive, f"oomkeeper-bundle/{name}.json", text)
                for name, text in self.logs.items():
                    _add(archive, f"oomkeeper-bundle/{name}", text)
            return raw.tell()


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode(errors="backslashreplace")
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
    archive.addfile(entry, io.BytesIO(data))


def _newest(obj: Mapping[str, Any]) -> str:
    status = obj.get("status") or {}
    return str(status.get("lastSeen") or (obj.get("metadata") or {}).get("creationTimestamp") or "")


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _without(obj: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key not in keys}


class _Options(NamedTuple):
    redact_names: bool
    most_pods: int


@click.command(epilog=_EPILOG)
@cluster_options(namespaced=False)
@click.option("-f", "--file", "file", type=PATH, metavar="FILE", help="File to write; default: by the time.")
@click.option("--redact-names", is_flag=True, help="Replace names by hashes.")
@click.option(
    "--logs",
    "most_pods",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    metavar="N",
    help="Logs of at most so many pods, those that are not ready first.",
)
def command(*, target: Target, file: Path | None, redact_names: bool, most_pods: int) -> int:
    """Write one file for a ticket: objects, versions, conditions, Events and logs of oomkeeper."""
    now = time.time()
    file = file or Path(f"oomkeeper-bundle-{format_time(now).replace(':', '')}.tar.gz")
    if file.exists():
        raise BadInput(f"{file} exists already")
    with connected(target) as client:
        bundle = _collect(client, _Options(redact_names, most_pods), now=now)
    size = bundle.write(file)
    for problem in bundle.problems:
        click.echo(printable(f"not read: {problem}"), err=True)
    click.echo(f"{file} ({bytes_text(size)})")
    return 0


def _collect(client: ClusterClient, options: _Options, *, now: float) -> _Bundle:
    bundle = _Bundle()
    version = client.get("/version")
    bundle.lists(client)
    bundle.add_logs(client, most_pods=options.most_pods)
    nodes = bundle.nodes(client)
    try:
        found = finding_records(findings(read_facts(client, now=now)))
    except ApiError as error:
        bundle.problems.append(f"doctor: {error}")
        found = []
    bundle.documents |= {"nodes": nodes, "doctor": found}
    if options.redact_names:
        named = [one for plural in _NAMED for one in bundle.documents.get(f"objects/{plural}") or ()]
        bundle.rename(
            Names(
                names_in(named, nodes=[node["name"] for node in nodes], namespaces=_namespaces(client)),
                key=secrets.token_bytes(32),
            )
        )
    bundle.documents["manifest"] = {
        "created": format_time(now),
        "plugin": __version__,
        "server": version,
        "namesRedacted": options.redact_names,
        "notRead": bundle.problems,
        "files": sorted([*bundle.documents, *bundle.logs]),
    }
    return bundle


def _namespaces(client: ClusterClient) -> list[str]:
    try:
        return [one["metadata"]["name"] for one in list_raw(client, "/api/v1/namespaces")]
    except ApiError:
        return []
