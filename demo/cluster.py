"""The second part: the same on a cluster, with kubectl."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES
from tests.testbed import TestbedError

from . import html_report, kills, operator_here, policies, side_by_side, sysctls
from .guard import Guard, guarded
from .harness import Harness, opened
from .narration import DemoError, Narrator
from .running import oomkeeper_output

CRDS = tuple(
    f"crd/{plural}.oomkeeper.dev"
    for plural in ("oompolicies", "oomnodes", "oomincidents", "containerkills", "oomreports")
)


_DELETE = ("delete", "--ignore-not-found", "--timeout=60s")


def show(tell: Narrator, *, options: Namespace) -> None:
    """Show the second part. Raises DemoError if a step does not happen as narrated, UsageError for a wrong
    option.
    """
    tell.title("On a cluster: policies to nodes, kills to incidents")
    with ExitStack() as stack:
        guard = stack.enter_context(guarded(tell))
        tell.step("Start a cluster")
        if options.kind is None and options.kubeconfig is None:
            tell.say(
                "A real one with one node, created for the demo: etcd, kube-apiserver, controller-manager, "
                "scheduler, containerd and a kubelet on this machine. The first time, its programs are built "
                "from source, which takes a quarter of an hour or more; after that it starts in seconds."
            )
        try:
            harness = stack.enter_context(opened(options, folder=guard.folder, tell=tell))
        except TestbedError as error:
            tell.not_shown("a cluster", why=str(error))
            return
        _show_on(harness, guard=guard, tell=tell)


def _show_on(harness: Harness, *, guard: Guard, tell: Narrator) -> None:
    folder = guard.folder
    if harness.own and harness.node is None:
        tell.not_shown("a real node", why=harness.no_node)
        harness.kubectl.show("apply", "-f", "demo/node.yaml")
    harness.kubectl.show("get", "nodes")
    if not harness.own:
        _refuse_what_is_in_use(harness)
    with ExitStack() as stack:
        stack.enter_context(_left_as_found(harness, tell=tell))
        _install(harness, tell=tell)
        before = sysctls.read()
        # kubelet writes the others as well, and the demo's own cluster restores them itself.
        guard.hold({key: value for key, value in before.items() if SYSCTL_RULES[key].kubelet_value is None})
        stack.enter_context(_sysctls_restored(state=folder / operator_here.STATE))
        stack.enter_context(operator_here.operator(harness, folder=folder, tell=tell))
        operator_here.await_answer(harness, tell=tell)
        stack.enter_context(_policies_deleted(harness))
        policies.show_applied(harness, tell=tell, before=before)
        if harness.node is not None:
            kills.show(harness, folder=folder, tell=tell)
            side_by_side.show(harness, tell=tell)
            html_report.show(harness, tell=tell)
        else:
            tell.not_shown("pods killed and explained", why=harness.no_node)
        policies.show_deleted(harness, tell=tell, before=before)


def _install(harness: Harness, *, tell: Narrator) -> None:
    tell.step("Install oomkeeper's five custom resources")
    harness.kubectl.show("apply", "-f", "crds/")
    harness.kubectl.show("wait", "--for=condition=Established", *CRDS)
    harness.kubectl.show("create", "namespace", operator_here.NAMESPACE)


def _refuse_what_is_in_use(harness: Harness) -> None:
    """Check that a user's cluster has nothing that the demo would change."""
    kubectl = harness.kubectl
    for what in (*CRDS, f"namespace/{operator_here.NAMESPACE}", f"namespace/{kills.NAMESPACE}"):
        if kubectl.get(what):
            raise DemoError(
                f"{what} exists already: the demo needs a cluster without it, and changed nothing"
            )
    if harness.node is not None and policies.LABEL in kubectl.get("node", harness.node)["metadata"].get(
        "labels", {}
    ):
        raise DemoError(
            f"node {harness.node} has the label {policies.LABEL} already: the demo does not change it"
        )


@contextmanager
def _left_as_found(harness: Harness, *, tell: Narrator) -> Iterator[None]:
    """Remove everything of the demo from a user's cluster when the block ends for any reason."""
    try:
        yield
    finally:
        if not harness.own:
            try:
                _remove(harness, tell=tell)
            except KeyboardInterrupt:
                raise DemoError(
                    "interrupted before the cluster was restored: run the kubectl commands above"
                ) from None


def _remove(harness: Harness, *, tell: Narrator) -> None:
    tell.step("Restore the cluster")
    commands: list[tuple[str, ...]] = [
        (*_DELETE, "namespace", kills.NAMESPACE, operator_here.NAMESPACE),
        (*_DELETE, "-f", "crds/"),
    ]
    if harness.node is not None:
        commands.append(("label", "node", harness.node, f"{policies.LABEL}-"))
    complaints = []
    for command in commands:
        tell.command(["kubectl", *command])
        if complaint := harness.kubectl.quietly(*command):
            complaints.append(f"kubectl {' '.join(command)}: {complaint}")
    if complaints:
        raise DemoError(f"the cluster is not restored: {'; '.join(complaints)}")


@contextmanager
def _policies_deleted(harness: Harness) -> Iterator[None]:
    try:
        yield
    finally:
        harness.kubectl.quietly("delete", "--ignore-not-found", *policies.files(harness))


@contextmanager
def _sysctls_restored(*, state: Path) -> Iterator[None]:
    """Let the agent restore what it still holds when it ends."""
    try:
        yield
    finally:
        if (state / "oomkeeper.db").exists():
            oomkeeper_output("node", "--restore", "--state-dir", str(state))
