"""The rights that agent and controller need: those that the chart grants (templates/*-rbac.yaml)."""

from collections.abc import Iterator
from typing import NamedTuple

_OOM = "oomkeeper.dev"


class Access(NamedTuple):
    """One verb on one resource, in all namespaces."""

    group: str
    resource: str
    verb: str
    subresource: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}{f'/{self.subresource}' if self.subresource else ''}"


def _rules(*rules: tuple[str, tuple[str, ...], tuple[str, ...]]) -> Iterator[Access]:
    for group, resources, verbs in rules:
        for name in resources:
            resource, _, subresource = name.partition("/")
            yield from (Access(group, resource, verb, subresource) for verb in verbs)


AGENT = tuple(
    _rules(
        (_OOM, ("oomnodes",), ("list", "watch")),
        (_OOM, ("oomnodes/status",), ("patch",)),
        (_OOM, ("oomincidents", "containerkills"), ("list", "create", "patch")),
        (_OOM, ("oomincidents/status", "containerkills/status"), ("patch",)),
        ("", ("pods",), ("list", "watch")),
        ("", ("nodes",), ("get",)),
        ("", ("events",), ("list",)),
        ("apps", ("replicasets",), ("get",)),
        ("batch", ("jobs",), ("get",)),
        ("", ("namespaces",), ("get",)),
    )
)
CONTROLLER = tuple(
    _rules(
        ("", ("nodes",), ("get", "list", "watch")),
        ("", ("namespaces",), ("list", "watch")),
        ("", ("events",), ("create", "patch")),
        (_OOM, ("oompolicies", "oomreports"), ("list", "watch")),
        (_OOM, ("oompolicies/status", "oomreports/status"), ("patch",)),
        (_OOM, ("oomnodes",), ("list", "watch", "create", "patch", "delete")),
        (_OOM, ("oomincidents", "containerkills"), ("list", "watch", "delete")),
    )
)
