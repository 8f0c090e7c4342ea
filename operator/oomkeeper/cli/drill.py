"""`kubectl oom drill`: harmless kills in a namespace of their own, followed to incident, Event, metric and
alert."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from oomkeeper.agent.kube.client import resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.reporting.drill import (
    CHILD,
    CHILD_ENDED,
    FAILED,
    LEVELS,
    PASSED,
    POD_LIMIT,
    SKIPPED,
    WOULD_PANIC,
    Link,
    broken,
    conclusion,
    drill_pod,
    ended,
    incident_of,
    kills_in,
    link_text,
    own_event,
    started,
    waiting_reason,
)

from .cluster import Target, cluster_options, complete, connected, list_if_allowed, list_raw
from .cluster_client import ClusterClient
from .drill_alert import ALERT, PrometheusError, PrometheusService
from .errors import FAILED as EXIT_FAILED
from .errors import CliError
from .host import output_option, print_json
from .nodes import AGENT_PODS

_LABELS = {"app.kubernetes.io/managed-by": "kubectl-oom-drill"}
_POLL_SECONDS = 1.0
_MOST_METRIC_BYTES = 4 << 20
_EPILOG = """\
\b
Levels: container  the limit of a container
        pod        the limit of the pod (needs pod-level resources)
        child      a child process, while the container may continue

Each pod eats at most 256 MiB with a limit of 32 MiB, runs as an unprivileged user, and ends itself on a node
with vm.panic_on_oom 2, where a kill would panic the node. Its image needs sh, head and tail; by default it
is that of the agents, which every node has. The namespace oomkeeper-drill-XXXXXX is deleted at the end, also
when the drill is interrupted.

Links: Pod (started), Kernel (killed), Incident, Event, Metric (of the agent on that node), Alert (only with
--prometheus, a service that the API server can reach).

Exit status: 0 when all links that were checked work, 1 when one is broken or the API server refuses, 2 for a
wrong command line."""


class _Plan(NamedTuple):
    namespace: str
    image: str
    node: str | None
    prometheus: str | None
    wait_seconds: int


@click.command(epilog=_EPILOG)
@cluster_options(namespaced=False)
@click.option(
    "--level", "levels", type=click.Choice(LEVELS), multiple=True, help="Only this level; repeatable."
)
@click.option("--node", metavar="NAME", help="Run on this node.", shell_complete=complete("nodes"))
@click.option("--image", metavar="IMAGE", help="Image of the pods; default: that of the agents.")
@click.option("--prometheus", metavar="NAMESPACE/SERVICE:PORT", help="Prometheus, to look for the alert.")
@click.option(
    "--timeout",
    "wait_seconds",
    type=click.IntRange(1, 3600),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for each link.",
)
@output_option("text", "json")
def command(
    *,
    target: Target,
    levels: tuple[str, ...],
    node: str | None,
    image: str | None,
    prometheus: str | None,
    wait_seconds: int,
    output: str,
) -> int:
    """Cause one harmless OOM kill per level and follow it to incident, Event, metric and alert."""
    if prometheus is not None and not _is_service(prometheus):
        raise click.BadParameter("write NAMESPACE/SERVICE:PORT", param_hint="--prometheus")
    links: list[Link] = []
    with connected(target) as client:
        agents = list_if_allowed(client, "/api/v1/pods", labelSelector=AGENT_PODS) or []
        spec = (agents[0].get("spec") or {}) if agents else {}
        image = image or next((one["image"] for one in spec.get("containers") or ()), None)
        if image is None:
            raise CliError("no agent's pod found to take the image from: name one that has sh with --image")
        name = f"oomkeeper-drill-{secrets.token_hex(3)}"
        plan = _Plan(name, image, node, prometheus, wait_seconds)
        with _namespace(client, name):
            for level in levels or LEVELS:
                for link in _drill(client, plan, level):
                    links.append(link)
                    if output == "text":
                        click.echo(link_text(link))
    if output == "json":
        print_json(
            {"links": [one._asdict() for one in links], "broken": [one._asdict() for one in broken(links)]}
        )
    else:
        for line in conclusion(links):
            click.echo(line)
    return EXIT_FAILED if broken(links) else 0


def _is_service(text: str) -> bool:
    namespace, slash, rest = text.partition("/")
    service, colon, port = rest.partition(":")
    return bool(namespace and slash and service and colon and port)


@contextmanager
def _namespace(client: ClusterClient, name: str) -> Iterator[None]:
    """Create the namespace, and delete it in any case. Raises ApiError."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": _LABELS}}
    client.create("/api/v1/namespaces", body)
    try:
        yield
    finally:
        try:
            client.delete(f"/api/v1/namespaces/{name}")
        except ApiError as error:
            click.echo(
                f"namespace {name} not deleted: {error}; run: kubectl delete namespace {name}", err=True
            )


def _drill(client: ClusterClient, plan: _Plan, level: str) -> Iterator[Link]:
    """Yield the links of one level, up to the first that fails. Raises ApiError."""
    try:
        pod = _create(client, plan, level)
    except _Skip as skip:
        yield Link(level, "Pod", SKIPPED, str(skip))
        return
    except ApiError as error:
        yield Link(level, "Pod", FAILED, str(error))
        return
    for step in (_start, _kill, _incident, _event, _metric, _alert):
        link = step(client, plan, level, pod)
        yield link
        if link.result == FAILED:
            return


class _Skip(Exception):
    """Why a level cannot be tried on this cluster."""


def _create(client: ClusterClient, plan: _Plan, level: str) -> dict[str, Any]:
    body = drill_pod(level, namespace=plan.namespace, image=plan.image, node=plan.node)
    path = f"/api/v1/namespaces/{plan.namespace}/pods"
    checked = _when_ready(lambda: client.create(path, body, dryRun="All"), plan)
    if level == POD_LIMIT and not checked["spec"].get("resources"):
        raise _Skip("the cluster has no pod-level resources")
    return client.create(path, body)


def _when_ready(create: Callable[[], dict[str, Any]], plan: _Plan) -> dict[str, Any]:
    """Create the first object of a new namespace: its service account comes a moment after it."""
    deadline = time.monotonic() + plan.wait_seconds
    while True:
        try:
            return create()
        except ApiError as error:
            if "service account" not in str(error) and "serviceaccount" not in str(error):
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def _until(plan: _Plan, look: Callable[[], str | None]) -> str | None:
    """Return the first text of `look`; None after the time to wait. Raises ApiError."""
    deadline = time.monotonic() + plan.wait_seconds
    while True:
        found = look()
        if found is not None or time.monotonic() > deadline:
            return found
        time.sleep(_POLL_SECONDS)


def _path(plan: _Plan, pod: Mapping[str, Any]) -> str:
    return f"/api/v1/namespaces/{plan.namespace}/pods/{pod['metadata']['name']}"


def _start(client: ClusterClient, plan: _Plan, level: str, pod: Mapping[str, Any]) -> Link:
    seen: dict[str, Any] = {}

    def look() -> str | None:
        seen.update(client.get(_path(plan, pod)))
        return f"started on node {seen['spec'].get('nodeName')}" if started(seen) else None

    message = _until(plan, look)
    if message is None:
        why = waiting_reason(seen) or "no reason given"
        return Link(level, "Pod", FAILED, f"not started after {plan.wait_seconds} s: {why}")
    return Link(level, "Pod", PASSED, message)


def _kill(client: ClusterClient, plan: _Plan, level: str, pod: Mapping[str, Any]) -> Link:
    def look() -> str | None:
        if (end := ended(client.get(_path(plan, pod)))) is not None:
            return f"{end.get('exitCode')} {end.get('reason')}"
        if level == CHILD:
            log = client.text(f"{_path(plan, pod)}/log", most_bytes=4096, container="eater")
            return f"{CHILD_ENDED}, and the container continues" if CHILD_ENDED in log else None
        return None

    found = _until(plan, look)
    if found is None:
        return Link(level, "Kernel", FAILED, f"nothing was killed within {plan.wait_seconds} s")
    if found.startswith(f"{WOULD_PANIC} "):
        return Link(
            level, "Kernel", FAILED, "not tried: vm.panic_on_oom is 2 there, a kill would panic the node"
        )
    if not found.startswith(("137 ", CHILD_ENDED)):
        return Link(
            level, "Kernel", FAILED, f"no kill: the container ended with {found}; is its limit in force?"
        )
    return Link(level, "Kernel", PASSED, f"killed ({found})")


def _incident(client: ClusterClient, plan: _Plan, level: str, pod: Mapping[str, Any]) -> Link:
    def look() -> str | None:
        incidents = list_raw(client, resource_path("oomincidents", namespace=plan.namespace))
        one = incident_of(incidents, uid=pod["metadata"]["uid"])
        return None if one is None else f"{one['metadata']['name']}, cause {one['spec'].get('cause')}"

    return _awaited(
        plan, level, "Incident", look, otherwise="the agent of that node recorded no kill of the pod"
    )


def _event(client: ClusterClient, plan: _Plan, level: str, pod: Mapping[str, Any]) -> Link:
    def look() -> str | None:
        path = f"/api/v1/namespaces/{plan.namespace}/events"
        one = own_event(list_raw(client, path), uid=pod["metadata"]["uid"])
        return None if one is None else f"{one.get('reason')}: {one.get('message')}"

    return _awaited(plan, level, "Event", look, otherwise="the controller wrote no Event on the pod")


def _metric(client: ClusterClient, plan: _Plan, level: str, pod: Mapping[str, Any]) -> Link:
    node = client.get(_path(plan, pod))["spec"].get("nodeName")
    agents = list_if_allowed(client, "/api/v1/pods", labelSelector=AGENT_PODS) or ()
    agent = next((one for one in agents if (one.get("spec") or {}).get("nodeName") == node), None)
    port = _metrics_port(agent)
    if agent is None or port is None:
        why = "no agent's pod was found on that node" if agent is None else "the agent has no metrics port"
        return Link(level, "Metric", SKIPPED, why)
    meta = agent["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}:{port}/proxy/metrics"

    def look() -> str | None:
        kills = kills_in(client.text(path, most_bytes=_MOST_METRIC_BYTES), namespace=plan.namespace)
        return f"oomkeeper_oom_kills_total is {kills:g} for the namespace" if kills else None

    try:
        return _awaited(plan, level, "Metric", look, otherwise="the agent's metrics do not count the kill")
    except ApiError as error:
        return Link(level, "Metric", SKIPPED, f"not readable through the API server: {error}")


def _metrics_port(agent: Mapping[str, Any] | None) -> int | None:
    for container in ((agent or {}).get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == "metrics":
                return int(port["containerPort"])
    return None


def _alert(client: ClusterClient, plan: _Plan, level: str, _: Mapping[str, Any]) -> Link:
    if plan.prometheus is None:
        return Link(level, "Alert", SKIPPED, "name Prometheus with --prometheus")
    prometheus = PrometheusService(client, plan.prometheus)

    def look() -> str | None:
        state = prometheus.alert(plan.namespace)
        return None if state is None else f"{ALERT} is {state}"

    try:
        message = _until(plan, look)
        if message is not None:
            return Link(level, "Alert", PASSED, message)
        why = prometheus.why_no_alert(plan.namespace)
    except PrometheusError as error:
        return Link(level, "Alert", FAILED, str(error))
    return Link(level, "Alert", FAILED, f"{why}, after {plan.wait_seconds} s")


def _awaited(plan: _Plan, level: str, name: str, look: Callable[[], str | None], *, otherwise: str) -> Link:
    message = _until(plan, look)
    if message is None:
        return Link(level, name, FAILED, f"{otherwise} within {plan.wait_seconds} s")
    return Link(level, name, PASSED, message)
