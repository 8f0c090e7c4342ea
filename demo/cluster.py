"""The second part: the same on a cluster, with kubectl in hand."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from oomkeeper.model.sysctl import SYSCTL_RULES
from tests.testbed import TestbedError

from . import beds, kills, operator_here, policies, side_by_side, sysctls
from .beds import Bed
from .guard import Guard, guarded
from .narration import DemoError, Narrator
from .running import oomkeeper_output

CRDS = tuple(
    f"crd/{plural}.oomkeeper.dev" for plural in ("oompolicies", "oomnodes", "oomincidents", "oomreports")
)


_DELETE = ("delete", "--ignore-not-found", "--timeout=60s")


def show(tell: Narrator, *, options: Namespace) -> None:
    """The whole part. Raises DemoError where something does not happen as told, UsageError for a wrong
    option.
    """
    tell.title("On a cluster: policies to nodes, kills to incidents")
    with ExitStack() as stack:
        guard = stack.enter_context(guarded(tell))
        tell.step("Have a cluster")
        if options.kind is None and options.kubeconfig is None:
            tell.say(
                "A real one of one node, made for the demo: etcd, kube-apiserver, controller-manager, "
                "scheduler, containerd and a kubelet on this machine. The first time its programs are built "
                "from source, which takes a quarter of an hour or more; from then on it is up in seconds."
            )
        try:
            bed = stack.enter_context(beds.opened(options, folder=guard.folder, tell=tell))
        except TestbedError as error:
            tell.not_shown("a cluster", why=str(error))
            return
        _show_on(bed, guard=guard, tell=tell)


def _show_on(bed: Bed, *, guard: Guard, tell: Narrator) -> None:
    folder = guard.folder
    if bed.own and bed.node is None:
        tell.not_shown("a real node", why=bed.no_node)
        bed.kubectl.show("apply", "-f", "demo/node.yaml")
    bed.kubectl.show("get", "nodes")
    if not bed.own:
        _refuse_what_is_in_use(bed)
    with ExitStack() as stack:
        stack.enter_context(_left_as_found(bed, tell=tell))
        _install(bed, tell=tell)
        before = sysctls.read()
        # Of the others kubelet is a writer as well, and a cluster of our own puts them back itself.
        guard.hold({key: value for key, value in before.items() if SYSCTL_RULES[key].kubelet_value is None})
        stack.enter_context(_sysctls_given_back(state=folder / operator_here.STATE))
        stack.enter_context(operator_here.operator(bed, folder=folder, tell=tell))
        operator_here.await_answer(bed, tell=tell)
        stack.enter_context(_policies_deleted(bed))
        policies.show_applied(bed, tell=tell, before=before)
        if bed.node is not None:
            kills.show(bed, folder=folder, tell=tell)
            side_by_side.show(bed, tell=tell)
        else:
            tell.not_shown("pods killed and explained", why=bed.no_node)
        policies.show_deleted(bed, tell=tell, before=before)


def _install(bed: Bed, *, tell: Narrator) -> None:
    tell.step("Teach the cluster oomkeeper's four kinds of objects")
    bed.kubectl.show("apply", "-f", "crds/")
    bed.kubectl.show("wait", "--for=condition=Established", *CRDS)
    bed.kubectl.show("create", "namespace", operator_here.NAMESPACE)


def _refuse_what_is_in_use(bed: Bed) -> None:
    """On a cluster of the user's nothing is touched that was there before."""
    kubectl = bed.kubectl
    for what in (*CRDS, f"namespace/{operator_here.NAMESPACE}", f"namespace/{kills.NAMESPACE}"):
        if kubectl.get(what):
            raise DemoError(
                f"{what} is there already: the demo makes and removes its own, and leaves this cluster alone"
            )
    if bed.node is not None and policies.LABEL in kubectl.get("node", bed.node)["metadata"].get("labels", {}):
        raise DemoError(f"node {bed.node} has the label {policies.LABEL} already: the demo leaves it alone")


@contextmanager
def _left_as_found(bed: Bed, *, tell: Narrator) -> Iterator[None]:
    """A cluster of the user's without anything of the demo, however the block ends."""
    try:
        yield
    finally:
        if not bed.own:
            try:
                _remove(bed, tell=tell)
            except KeyboardInterrupt:
                raise DemoError(
                    "interrupted before the cluster was as it was: run the kubectl commands above"
                ) from None


def _remove(bed: Bed, *, tell: Narrator) -> None:
    tell.step("Leave the cluster as it was")
    commands: list[tuple[str, ...]] = [
        (*_DELETE, "namespace", kills.NAMESPACE, operator_here.NAMESPACE),
        (*_DELETE, "-f", "crds/"),
    ]
    if bed.node is not None:
        commands.append(("label", "node", bed.node, f"{policies.LABEL}-"))
    complaints = []
    for command in commands:
        tell.command(["kubectl", *command])
        if complaint := bed.kubectl.quietly(*command):
            complaints.append(f"kubectl {' '.join(command)}: {complaint}")
    if complaints:
        raise DemoError(f"the cluster is not as it was: {'; '.join(complaints)}")


@contextmanager
def _policies_deleted(bed: Bed) -> Iterator[None]:
    try:
        yield
    finally:
        bed.kubectl.quietly("delete", "--ignore-not-found", *policies.files(bed))


@contextmanager
def _sysctls_given_back(*, state: Path) -> Iterator[None]:
    """What the agent still holds when it ends is given back by its own means."""
    try:
        yield
    finally:
        if (state / "oomkeeper.db").exists():
            oomkeeper_output("node", "--restore", "--state-dir", str(state))
