"""Follow this node's OOMNode and its pods in the API server, and post what changes to the loop."""

from collections.abc import Callable

from oomkeeper.connection.config import ApiConfig
from oomkeeper.logformat import get_logger

from .desired import parse_desired
from .kube.client import ApiClient, decode_object, resource_path
from .kube.errors import ApiError
from .kube.reflector import Reflector
from .kubelet import k3s_arguments
from .messages import (
    DesiredChanged,
    Message,
    NodeObjectMissing,
    NodeRead,
    PlanAsked,
    PodChanged,
    PodsListed,
)
from .plan.request import parse_request, request_text
from .pods import Pod, decode_pod
from .records import DesiredNote

log = get_logger(__name__)

KubeObject = dict[str, object]


class ClusterWatch:
    """Two watches, each in a thread of its own."""

    def __init__(
        self,
        *,
        config: ApiConfig,
        node: str,
        post: Callable[[Message], None],
        node_added: Callable[[], None],
    ) -> None:
        """`node_added` is called when the OOMNode was listed or created: it may be another object than
        before."""
        self._config = config
        self._node = node
        self._post = post
        self._node_added = node_added
        self._plan_text: str | None = None
        """The plan request that was read last."""
        self._reflectors: tuple[Reflector[KubeObject], Reflector[Pod]] = (
            Reflector(
                config=config,
                path=resource_path("oomnodes"),
                query={"fieldSelector": f"metadata.name={node}"},
                decode=decode_object,
                listed=self.nodes_listed,
                changed=self.node_changed,
            ),
            Reflector(
                config=config,
                path="/api/v1/pods",
                query={"fieldSelector": f"spec.nodeName={node}"},
                decode=_decode_pod,
                listed=self.pods_listed,
                changed=self.pod_changed,
            ),
        )

    def start(self) -> None:
        """Start both threads."""
        for reflector in self._reflectors:
            reflector.start()

    def stop(self) -> None:
        """End both watches."""
        for reflector in self._reflectors:
            reflector.stop()

    def nodes_listed(self, items: list[KubeObject]) -> None:
        """Handle the list of OOMNodes with this node's name: one or none."""
        if items:
            self.node_changed("ADDED", items[0])
        else:
            self._post(NodeObjectMissing())

    def node_changed(self, kind: str, obj: KubeObject) -> None:
        """Handle a watch event of this node's OOMNode."""
        if kind == "DELETED":
            self._post(NodeObjectMissing())
            return
        if kind == "ADDED":
            self._node_added()
            self._read_node()
        self._read_plan(request_text(obj))
        desired = parse_desired(obj)
        spec = obj.get("spec")
        note = DesiredNote(generation=desired.generation, spec=spec if isinstance(spec, dict) else {})
        self._post(DesiredChanged(desired, stored_as=note))

    def _read_plan(self, text: str | None) -> None:
        if text == self._plan_text:
            return
        self._plan_text = text
        request = parse_request(text) if text is not None else None
        if text is not None and request is None:
            log.warning("plan request not understood")
        self._post(PlanAsked(request))

    def pods_listed(self, pods: list[Pod]) -> None:
        """Handle the list of this node's pods."""
        self._post(PodsListed(pods))

    def pod_changed(self, kind: str, pod: Pod) -> None:
        """Handle a watch event of one of this node's pods."""
        self._post(PodChanged(pod, deleted=kind == "DELETED"))

    def _read_node(self) -> None:
        """Post what the Node object says, where RBAC lets the agent read it."""
        client = ApiClient(self._config)
        try:
            node = client.get(f"/api/v1/nodes/{self._node}")
        except ApiError as error:
            log.info("node not read", error=error)
            return
        finally:
            client.close()
        version = ((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion")
        annotations = (node.get("metadata") or {}).get("annotations") or {}
        self._post(NodeRead(str(version) if version else None, k3s_arguments(annotations)))


def _decode_pod(data: bytes) -> Pod:
    try:
        return decode_pod(data)
    except ValueError as error:
        raise ApiError(str(error)) from error
