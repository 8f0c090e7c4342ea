"""`kubectl oom why POD`: what killed the containers of a pod that ended by SIGKILL.

Reads the ContainerKills of the namespace, and the pod where it still exists."""

from urllib.parse import quote

import click

from oomkeeper.reporting.why import PodEnds, ends_of_pod, why_record, why_text
from oomkeeper.resources.containerkill import ContainerKill

from .cluster import Target, cluster_options, complete, connected, get_if_exists, list_objects
from .errors import CliError
from .host import output_option, print_json
from .object_output import print_yaml

_EPILOG = """\
The node's agent decides some seconds after a container has ended, and keeps the last ten ends of each
container of a workload on a node: the pod may be deleted. docs/what-killed-my-container.md explains the
answers.

Exit status: 0 whether or not a container was killed, 1 when the API server refuses or does not know the
pod."""


@click.command(epilog=_EPILOG)
@click.argument("pod", shell_complete=complete("pods"))
@cluster_options(namespaced=True, all_namespaces=False)
@output_option("text", "json", "yaml")
def command(*, pod: str, target: Target, output: str) -> int:
    """Tell what killed the containers of a pod that ended by SIGKILL (exit code 137).

    POD is the name of a pod, also with pod/ in front; it may be deleted.
    """
    found = _find(target, pod=pod.removeprefix("pod/"))
    if output == "json":
        print_json(why_record(found))
    elif output == "yaml":
        print_yaml(why_record(found))
    else:
        for line in why_text(found):
            click.echo(line)
    return 0


def _find(target: Target, *, pod: str) -> PodEnds:
    """Return what the API server has of the pod. Raises CliError where it does not know it."""
    assert target.namespace is not None
    with connected(target) as client:
        kills = list_objects(client, ContainerKill, "containerkills", namespace=target.namespace)
        path = f"/api/v1/namespaces/{quote(target.namespace, safe='')}/pods/{quote(pod, safe='')}"
        obj = get_if_exists(client, path)
    found = ends_of_pod(kills, pod=pod, namespace=target.namespace, obj=obj)
    if obj is None and not found.ends:
        raise CliError(f"pod {target.namespace}/{pod} not found, and no end of a container of it is recorded")
    return found
