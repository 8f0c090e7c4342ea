"""The custom resources as pydantic models: the one definition from which crds/ is generated.

    policy = load_policy(path)                  # a file, as `oomkeeper node --policy` takes it
    policy = OOMPolicy.parse(body)              # an object from the API server; or InvalidObjectError
    body["status"] = status.to_dict()           # wire spelling, nothing that is absent

One module per kind, shared types beside them. The rules that a schema cannot say are in each model's `rules`,
as CEL for the API server and in Python for files; `generate` writes crds/.

A model is imported when it is first used: `kubectl oom plan` needs one of the five, and to make all of them
takes twice as long.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .containerkill import ContainerKill
    from .kinds import KINDS
    from .oomincident import OOMIncident
    from .oomnode import OOMNode
    from .oompolicy import OOMPolicy
    from .oomreport import OOMReport
    from .policyfile import PolicyFileError, load_policy
    from .problems import InvalidObjectError, Problem

_MODULES = {
    "KINDS": "kinds",
    "ContainerKill": "containerkill",
    "InvalidObjectError": "problems",
    "OOMIncident": "oomincident",
    "OOMNode": "oomnode",
    "OOMPolicy": "oompolicy",
    "OOMReport": "oomreport",
    "PolicyFileError": "policyfile",
    "Problem": "problems",
    "load_policy": "policyfile",
}

__all__ = [
    "KINDS",
    "ContainerKill",
    "InvalidObjectError",
    "OOMIncident",
    "OOMNode",
    "OOMPolicy",
    "OOMReport",
    "PolicyFileError",
    "Problem",
    "load_policy",
]


def __getattr__(name: str) -> Any:
    """Import what `name` is defined in."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
