"""The custom resources as pydantic models: the one definition from which crds/ is generated.

    policy = load_policy(path)                  # a file, as `oomkeeper node --policy` takes it
    policy = OOMPolicy.parse(body)              # an object from the API server; or InvalidObjectError
    body["status"] = status.to_dict()           # wire spelling, nothing that is absent

One module per kind, shared types beside them. The rules that a schema cannot say are in each model's `rules`,
as CEL for the API server and in Python for files; `generate` writes crds/.
"""

from .containerkill import ContainerKill
from .meta import ApiObject
from .oomincident import OOMIncident
from .oomnode import OOMNode
from .oompolicy import OOMPolicy
from .oomreport import OOMReport
from .policyfile import PolicyFileError, load_policy
from .problems import InvalidObjectError, Problem

KINDS: tuple[type[ApiObject], ...] = (OOMPolicy, OOMNode, OOMIncident, ContainerKill, OOMReport)

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
