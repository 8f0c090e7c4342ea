"""What every verb of `kubectl oom` shares: kubectl's connection options, and reading oomkeeper's objects."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from oomkeeper.agent.kube.client import ApiClient, decode_object, resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.connection.config import ApiConfig, ApiConfigError
from oomkeeper.connection.kubeconfig import kubeconfig_files, read_context
from oomkeeper.connection.tls import check_config
from oomkeeper.model.names import GROUP
from oomkeeper.resources.record import MalformedObjectError, Record, read

from .cluster_client import ClusterClient
from .errors import BadInput, CliError
from .host import PATH

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T", bound=Record)


class Target(NamedTuple):
    """Which cluster a verb asks, and which namespace."""

    config: ApiConfig
    namespace: str | None
    """None: all namespaces."""


def cluster_options(*, namespaced: bool, all_namespaces: bool = True) -> Callable[[_F], _F]:
    """Add kubectl's options --context and --kubeconfig, and for a `namespaced` verb -n and (with
    `all_namespaces`) -A. The verb gets them as one keyword argument, `target`. Raises BadInput for a
    kubeconfig that cannot be read."""

    def add(command: _F) -> _F:
        @wraps(command)
        def run(*args: Any, **values: Any) -> Any:
            namespace = values.pop("namespace", None)
            everywhere = values.pop("all_namespaces", not namespaced)
            if everywhere and namespace is not None:
                raise click.UsageError("--namespace and --all-namespaces exclude each other")
            config, default = read_target_context(values.pop("kubeconfig"), values.pop("context_name"))
            target = Target(config, None if everywhere else namespace or default)
            return command(*args, target=target, **values)

        # The last decorator is the first option in the help.
        options = [
            click.option(
                "--kubeconfig",
                metavar="FILE",
                type=PATH,
                help="Kubeconfig file; default: $KUBECONFIG, or ~/.kube/config.",
            ),
            click.option(
                "--context",
                "context_name",
                metavar="NAME",
                help="Context of the kubeconfig.",
                shell_complete=complete("contexts"),
            ),
        ]
        if namespaced and all_namespaces:
            options.append(click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces."))
        if namespaced:
            options.append(
                click.option(
                    "-n",
                    "--namespace",
                    metavar="NAME",
                    help="Namespace; default: the context's.",
                    shell_complete=complete("namespaces"),
                )
            )
        decorated: Any = run
        for option in options:
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return add


def complete(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Return the completion of a parameter by the names of existing objects; `what`: a key of
    `complete_names.NAMES`."""

    def names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
        from .complete_names import complete_names

        return complete_names(what, ctx=ctx, incomplete=incomplete)

    return names


@contextmanager
def connected(target: Target) -> Iterator[ClusterClient]:
    """Connect to the API server; its refusals and a lost connection become errors in one line (CliError)."""
    client = ClusterClient(target.config)
    try:
        yield client
    except ApiError as error:
        hint = "; is oomkeeper installed in this cluster?" if is_unknown_kind(error) else ""
        raise CliError(f"{error}{hint}") from error
    finally:
        client.close()


def is_unknown_kind(error: ApiError) -> bool:
    """Return whether the API server does not have the kind of oomkeeper's that was asked for. Of an object
    that does not exist it says `"NAME" not found`."""
    text = str(error)
    return error.status == HTTPStatus.NOT_FOUND and f"/apis/{GROUP}/" in text and '" not found' not in text


def list_objects(
    client: ApiClient, kind: type[_T], plural: str, *, namespace: str | None = None, **query: str
) -> list[_T]:
    """Return all objects of a kind of oomkeeper's, in one namespace or in all. `query`: labelSelector,
    fieldSelector.

    An object that does not have the shape of its kind is left out. Raises ApiError."""

    def decode(data: bytes) -> _T | None:
        try:
            return read(kind, data)
        except MalformedObjectError:
            return None

    path = resource_path(plural, namespace=namespace)
    items, _ = client.list_items(path, decode=decode, resource_version="", **query)
    return [item for item in items if item is not None]


def list_raw(client: ApiClient, path: str, **query: str) -> list[dict[str, Any]]:
    """Return all items of a list as the API server gives them; `query`: labelSelector, fieldSelector. Raises
    ApiError."""
    return list_raw_from(client, path, **query)[0]


def list_raw_from(client: ApiClient, path: str, **query: str) -> tuple[list[dict[str, Any]], str]:
    """Return the same, and the resourceVersion to watch from. Raises ApiError."""
    query = {key: value for key, value in query.items() if value}
    return client.list_items(path, decode=decode_object, resource_version="", **query)


def list_if_allowed(client: ApiClient, path: str, **query: str) -> list[dict[str, Any]] | None:
    """Return the items of a list, None where the user may not read it or the server does not have it.
    Raises ApiError."""
    try:
        return list_raw(client, path, **query)
    except ApiError as error:
        if error.status in (403, 404):
            return None
        raise


def get_if_exists(client: ApiClient, path: str) -> dict[str, Any] | None:
    """Return an object, None where it does not exist. Raises ApiError."""
    try:
        return client.get(path)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def selector_option(command: _F) -> _F:
    """Add kubectl's --selector."""
    return click.option(
        "-l", "--selector", metavar="SELECTOR", default="", help="Label selector, such as app=web,tier!=db."
    )(command)


def read_target_context(kubeconfig: Path | None, name: str | None) -> tuple[ApiConfig, str]:
    """Return the connection and the default namespace of a context. Raises BadInput."""
    files = kubeconfigs(kubeconfig)
    try:
        context = read_context(files, environ=os.environ, context_name=name)
        check_config(context.config, source=files[0])
    except ApiConfigError as error:
        raise BadInput(str(error)) from error
    return context.config, context.namespace


def kubeconfigs(given: Path | None) -> list[Path]:
    """Return the kubeconfig files: the given one, those of $KUBECONFIG, or the default one."""
    files = [given] if given is not None else kubeconfig_files(os.environ.get("KUBECONFIG", ""))
    return files or [Path("~/.kube/config").expanduser()]
