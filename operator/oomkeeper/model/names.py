"""Names that several rooms share: API group, kinds, field managers, labels."""

GROUP = "oomkeeper.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

AGENT_MANAGER = "oomkeeper-agent"
"""Server-side-apply field manager of the agents."""
CONTROLLER_MANAGER = "oomkeeper-controller"
"""Server-side-apply field manager of the controller."""

NODE_LABEL = f"{GROUP}/node"
"""Label of an OOMIncident: the node it happened on."""
CAUSE_LABEL = f"{GROUP}/cause"
WORKLOAD_LABEL = f"{GROUP}/workload"

STATE_DIR = "/var/lib/oomkeeper"
"""Default folder of a node's state."""
