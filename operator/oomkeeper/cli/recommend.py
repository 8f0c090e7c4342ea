"""`kubectl oom recommend WORKLOAD`: memory limit and request from the kills, as data; on request applied."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from oomkeeper.agent.kube.client import resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.escaping import printable
from oomkeeper.reporting.incident_list import Read, names_workload, newest_first, read_incidents, subject_text
from oomkeeper.reporting.limit_change import (
    CONTINUES,
    UNCHANGED,
    change_text,
    limit_changes,
    limit_written_at,
)
from oomkeeper.reporting.recommendation import (
    RAISE,
    REFUSED,
    Recommendation,
    recommendation_record,
    recommendations,
)
from oomkeeper.reporting.recommendation_formats import (
    autoscaler,
    helm_values,
    kustomize_patch,
    recommendation_text,
    workload_patch,
)
from oomkeeper.reporting.workload_template import (
    ContainerSettings,
    WorkloadKind,
    containers_of,
    workload_kind,
)

from .cluster import Target, cluster_options, complete, connected, list_raw
from .cluster_client import ClusterClient
from .errors import FAILED, CliError
from .host import output_option, print_json
from .object_output import print_yaml

_EPILOG = """\
WORKLOAD is KIND/NAME, such as deploy/web, or the name alone. The limit is the largest usage at a kill plus
20 %, rounded up; the request is what was in use, or the limit where both are equal now.

\b
Refused, because another limit does not help or hides the problem:
  Leak              memory grows over time, or filled a raised limit as well
  SharedMemory      30 % or more is files in tmpfs or shared memory
  SlowStorage       half or more is page cache that the storage is too slow to take
  HeapFollowsLimit  the heap's size is a share of the limit (MaxRAMPercentage and the like)
  PodLimit          the containers of the pod together reached the pod's limit
  OtherCause        no limit was reached: the node's memory, NUMA, fragmentation ...
  ContainerGone     the template has no container of that name

--apply changes the workload's template, which starts new pods. --in-place resizes its running pods instead,
without a restart, where the cluster has pods/resize; new pods get the template's limits again. Both are
checked by the API server first (dry run), and asked for confirmation.

Exit status: 0; 1 when a container is refused, no kill is recorded, or the API server refuses; 2 for a wrong
command line. With --verify: 1 when kills continue or the limit was not raised."""


class Found(NamedTuple):
    """A workload and its incidents."""

    kind: str
    name: str
    namespace: str
    incidents: list[Read]
    known: WorkloadKind | None
    """None for a kind that is not built in."""
    obj: dict[str, Any] | None
    """None where it does not exist (any more), or may not be read."""

    @property
    def api_version(self) -> str | None:
        """API group and version of the workload at its last kill; None where it is not recorded."""
        identities = (one.status.workload for one in self.incidents)
        return next((one.api_version for one in identities if one is not None), None)

    @property
    def template(self) -> list[ContainerSettings] | None:
        if self.known is None or self.obj is None:
            return None
        return containers_of(self.obj, self.known)


@click.command(epilog=_EPILOG)
@click.argument("workload", shell_complete=complete("workloads"))
@cluster_options(namespaced=True, all_namespaces=False)
@output_option("text", "json", "patch", "kustomize", "helm", "vpa")
@click.option("--apply", "apply_it", is_flag=True, help="Change the workload, after a confirmation.")
@click.option("--in-place", is_flag=True, help="With --apply: resize the running pods, without a restart.")
@click.option("--yes", is_flag=True, help="With --apply: do not ask.")
@click.option("--verify", is_flag=True, help="Tell whether kills stopped since the limit was raised.")
def command(
    *,
    workload: str,
    target: Target,
    output: str,
    apply_it: bool,
    in_place: bool,
    yes: bool,
    verify: bool,
) -> int:
    """Recommend memory limit and request of a workload's containers, from their OOM kills."""
    if (in_place or yes) and not apply_it:
        raise click.UsageError("--in-place and --yes need --apply")
    if apply_it and verify:
        raise click.UsageError("--apply and --verify exclude each other")
    if verify and output not in ("text", "json"):
        raise click.UsageError("--verify prints text or json")
    with connected(target) as client:
        found = _find(client, target.namespace or "default", workload)
        if verify:
            return _verify(found, output=output)
        made = recommendations(found.incidents, template=found.template)
        raised = [one for one in made if one.verdict == RAISE]
        if apply_it:
            return _apply(client, found, raised, made, in_place=in_place, yes=yes)
    if output == "json":
        print_json(
            {
                "namespace": found.namespace,
                "workload": {"kind": found.kind, "name": found.name},
                "containers": [recommendation_record(one) for one in made],
            }
        )
    elif output == "text":
        _print(recommendation_text(made, workload=f"{found.kind}/{found.name}", namespace=found.namespace))
    else:
        _write(found, raised, made, output=output)
    return _status(made)


def _status(made: Sequence[Recommendation]) -> int:
    return FAILED if any(one.verdict == REFUSED for one in made) else 0


def _print(lines: Any) -> None:
    for line in lines:
        click.echo(line)


def _find(client: ClusterClient, namespace: str, text: str) -> Found:
    """Return the workload that `text` names, with its incidents. Raises CliError where there is none, or more
    than one."""
    objects = read_incidents(list_raw(client, resource_path("oomincidents", namespace=namespace)))
    incidents = newest_first(
        one for one in objects if one.incident.spec.workload and names_workload(text, one.incident)
    )
    subjects = sorted({subject_text(one.incident) for one in incidents})
    if not subjects:
        raise CliError(f"no OOM kill of {text} is recorded in namespace {namespace}")
    if len(subjects) > 1:
        raise CliError(f"{text} is ambiguous: {', '.join(subjects)}")
    kind, _, name = subjects[0].partition("/")
    known, obj = workload_kind(kind), None
    if known is not None:
        try:
            obj = client.get(known.path(namespace=namespace, name=name))
        except ApiError as error:
            if error.status not in (403, 404):
                raise
    return Found(kind, name, namespace, incidents, known, obj)


def _write(
    found: Found, raised: Sequence[Recommendation], made: Sequence[Recommendation], *, output: str
) -> None:
    """Print the document of a format, and on stderr what it does not contain."""
    for one in made:
        if one.verdict != RAISE:
            click.echo(
                printable(f"{one.container or 'no container'}: {one.verdict}: {one.message}"), err=True
            )
    if not raised:
        return
    if output == "helm":
        print_yaml(helm_values(raised))
        return
    kind = found.known
    if kind is None and output == "vpa" and found.api_version is not None:
        kind = WorkloadKind(found.kind, found.api_version, "")
    if kind is None:
        raise CliError(f"-o {output} needs a built-in kind, not {found.kind}: use -o json or -o helm")
    where: Mapping[str, Any] = {"kind": kind, "name": found.name, "namespace": found.namespace}
    documents: Mapping[str, Callable[[], dict[str, Any]]] = {
        "patch": lambda: workload_patch(raised, kind=kind, template=found.template),
        "kustomize": lambda: kustomize_patch(raised, template=found.template, **where),
        "vpa": lambda: autoscaler(raised, **where),
    }
    print_yaml(documents[output]())


def _apply(
    client: ClusterClient,
    found: Found,
    raised: Sequence[Recommendation],
    made: Sequence[Recommendation],
    *,
    in_place: bool,
    yes: bool,
) -> int:
    from .recommend_apply import apply_to_pods, apply_to_workload

    _print(recommendation_text(made, workload=f"{found.kind}/{found.name}", namespace=found.namespace))
    if raised:
        if found.known is None or found.obj is None:
            raise CliError(
                f"{found.kind}/{found.name} cannot be changed: it does not exist, or its kind is not built in"
            )
        change = apply_to_pods if in_place or not found.known.mutable else apply_to_workload
        change(client, found, raised, yes=yes)
    return _status(made)


def _verify(found: Found, *, output: str) -> int:
    if found.known is None or found.obj is None or found.template is None:
        raise CliError(
            f"the limit of {found.kind}/{found.name} cannot be read: it does not exist or is of a custom kind"
        )
    changed_at = {
        one.name: limit_written_at(found.obj, pod_spec=found.known.pod_spec, settings=one)
        for one in found.template
    }
    changes = limit_changes(found.incidents, template=found.template, changed_at=changed_at, now=time.time())
    if output == "json":
        print_json({"containers": [one._asdict() for one in changes]})
    else:
        _print(change_text(changes))
    return FAILED if any(one.verdict in (CONTINUES, UNCHANGED) for one in changes) else 0
