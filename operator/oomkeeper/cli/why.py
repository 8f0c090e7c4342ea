"""`kubectl oom why POD`: what killed the containers of a pod that ended by SIGKILL.

Reads the ContainerKills of the namespace, and the pod where it still exists."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from oomkeeper.agent.kube.client import ApiClient, resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.connection.config import ApiConfigError
from oomkeeper.connection.kubeconfig import Context, kubeconfig_files, read_context
from oomkeeper.connection.tls import check_config
from oomkeeper.reporting.why import PodEnds, ends_of_pod, why_record, why_text
from oomkeeper.resources.containerkill import ContainerKill
from oomkeeper.resources.record import MalformedObjectError, read

from .errors import BadInput, CliError
from .host import PATH, output_option, print_json

_EPILOG = """\
The node's agent decides some seconds after a container has ended, and keeps the last ten ends of each
container of a workload on a node: the pod may be deleted. docs/what-killed-my-container.md explains the
answers.

Exit status: 0 whether or not a container was killed, 1 when the API server refuses or does not know the
pod."""


@click.command(epilog=_EPILOG)
@click.argument("pod")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace of the pod; default: the context's.")
@click.option("--context", "context_name", metavar="NAME", help="Context of the kubeconfig.")
@click.option(
    "--kubeconfig",
    metavar="FILE",
    type=PATH,
    help="Kubeconfig file; default: $KUBECONFIG, or ~/.kube/config.",
)
@output_option("text", "json", "yaml")
def command(
    pod: str, namespace: str | None, context_name: str | None, kubeconfig: Path | None, output: str
) -> int:
    """Tell what killed the containers of a pod that ended by SIGKILL (exit code 137).

    POD is the name of a pod, also with pod/ in front; it may be deleted.
    """
    context = _context(kubeconfig, context_name)
    found = _find(context, pod=pod.removeprefix("pod/"), namespace=namespace or context.namespace)
    if output == "json":
        print_json(why_record(found))
    elif output == "yaml":
        import yaml

        click.echo(yaml.safe_dump(why_record(found), sort_keys=False, allow_unicode=True), nl=False)
    else:
        for line in why_text(found):
            click.echo(line)
    return 0


def _context(kubeconfig: Path | None, name: str | None) -> Context:
    files = [kubeconfig] if kubeconfig is not None else kubeconfig_files(os.environ.get("KUBECONFIG", ""))
    files = files or [Path("~/.kube/config").expanduser()]
    try:
        context = read_context(files, environ=os.environ, context_name=name)
        check_config(context.config, source=files[0])
    except ApiConfigError as error:
        raise BadInput(str(error)) from error
    return context


def _find(context: Context, *, pod: str, namespace: str) -> PodEnds:
    """Return what the API server has of the pod. Raises CliError where it does not know it."""
    client = ApiClient(context.config)
    try:
        items, _ = client.list_items(
            resource_path("containerkills", namespace=namespace), decode=_read, resource_version=""
        )
        obj = _pod(client, pod=pod, namespace=namespace)
    except ApiError as error:
        raise CliError(str(error)) from error
    finally:
        client.close()
    found = ends_of_pod([one for one in items if one is not None], pod=pod, namespace=namespace, obj=obj)
    if obj is None and not found.ends:
        raise CliError(f"pod {namespace}/{pod} not found, and no end of a container of it is recorded")
    return found


def _pod(client: ApiClient, *, pod: str, namespace: str) -> dict[str, Any] | None:
    try:
        return client.get(f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}")
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _read(data: bytes) -> ContainerKill | None:
    """Return the object; None for one that does not have the shape of its kind."""
    try:
        return read(ContainerKill, data)
    except MalformedObjectError:
        return None
