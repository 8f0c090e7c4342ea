"""All custom resources."""

from .containerkill import ContainerKill
from .meta import ApiObject
from .oomincident import OOMIncident
from .oomnode import OOMNode
from .oompolicy import OOMPolicy
from .oomreport import OOMReport

KINDS: tuple[type[ApiObject], ...] = (OOMPolicy, OOMNode, OOMIncident, ContainerKill, OOMReport)
