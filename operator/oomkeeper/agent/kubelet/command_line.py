"""Read kubelet's flags out of the command line of the process that runs it.

kubelet, also RKE2's and k0s's, has them itself; `hyperkube kubelet` as well. microk8s's kubelite names a file
of them. k3s overwrites its command line, and keeps what it was started with in an annotation of its Node.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oomkeeper.kernel.open_in_root import read_in_root

KUBELITE = "kubelite"
COMMS = frozenset({"kubelet", "hyperkube", KUBELITE, "k3s", "k3s-server", "k3s-agent"})
"""Names that a process with a kubelet in it has (/proc/<pid>/comm)."""
K3S_DATA_DIR = "/var/lib/rancher/k3s"
_MAX_ARGUMENTS_FILE_BYTES = 1 << 16
_K3S_CONFIG_DIR = "agent/etc/kubelet.conf.d"
"""Of the data folder: where k3s keeps its kubelet's drop-ins, since 1.32."""
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
# Flags of kubelet that take no following argument (pflag's NoOptDefVal).
_BOOLEAN_FLAGS = frozenset({"protect-kernel-defaults"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletFlags:
    """The flags of one kubelet."""

    flags: Mapping[str, str] = field(default_factory=dict)
    """Name without dashes -> value; the last of a name, as for kubelet."""
    config_dir_optional: bool = False
    """Whether --config-dir is our own supposition, so that the folder may be absent."""
    problem: str | None = None
    """Why they are not known for certain; None where they are."""

    def boolean(self, name: str) -> bool | None:
        """Return a flag's value as kubelet parses it (strconv.ParseBool); None where it is not given."""
        value = self.flags.get(name)
        return None if value is None else value in _TRUE

    def unreadable(self, name: str) -> bool:
        """Return whether the flag is given with a value that is neither true nor false."""
        value = self.flags.get(name)
        return value is not None and value not in _TRUE | _FALSE


def kubelet_flags(
    arguments: Sequence[str],
    *,
    comm: str,
    root: Path,
    environ: Mapping[str, str],
    k3s_arguments: Sequence[str] | None,
) -> KubeletFlags | None:
    """Return the flags of the kubelet that this process runs; None where it runs none. `root`: its root
    folder. `k3s_arguments`: what k3s has noted on its Node, None where that is not known."""
    verb = arguments[1] if len(arguments) > 1 else ""
    if comm == "kubelet":
        return KubeletFlags(flags=parse_flags(arguments[1:]))
    if comm == "hyperkube":
        return KubeletFlags(flags=parse_flags(arguments[2:])) if verb == "kubelet" else None
    if comm == KUBELITE:
        return _kubelite(arguments, root=root, environ=environ)
    if verb not in ("server", "agent"):
        return None  # k3s is kubectl, crictl and ctr as well
    return _k3s(arguments, k3s_arguments=k3s_arguments)


def parse_flags(arguments: Sequence[str]) -> dict[str, str]:
    """Return the flags as pflag reads them: `--name=value` or `--name value`, a boolean alone is true, and
    `_` in a name is `-`."""
    flags: dict[str, str] = {}
    waiting: str | None = None
    for argument in arguments:
        if waiting is not None:
            flags[waiting], waiting = argument, None
        elif argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            name = name.replace("_", "-")
            if equals:
                flags[name] = value
            elif name in _BOOLEAN_FLAGS:
                flags[name] = "true"
            else:
                waiting = name
    return flags


def k3s_arguments(annotations: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the arguments, those of its configuration file included, that k3s notes on its Node at each
    start; None where there are none. Only the node itself and administrators can write them."""
    try:
        noted = json.loads(annotations.get("k3s.io/node-args") or "null")
    except ValueError:
        return None
    return tuple(map(str, noted)) if isinstance(noted, list) else None


def _kubelite(arguments: Sequence[str], *, root: Path, environ: Mapping[str, str]) -> KubeletFlags:
    file = parse_flags(arguments[1:]).get("kubelet-args-file")
    if file is None:
        return KubeletFlags(problem="kubelite names no --kubelet-args-file")
    try:
        text = read_in_root(root, file, max_bytes=_MAX_ARGUMENTS_FILE_BYTES).decode(errors="replace")
        words = shlex.split(text, comments=True)
    except OSError as error:
        return KubeletFlags(problem=f"{file}: {error.strerror or error}")
    except ValueError as error:
        return KubeletFlags(problem=f"{file}: {error}")
    # As the snap's own start script: $SNAP_DATA and ${SNAP_DATA}.
    expanded = [
        re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: environ.get(match[1] or match[2], ""), word)
        for word in words
    ]
    return KubeletFlags(flags=parse_flags(expanded))


def _k3s(arguments: Sequence[str], *, k3s_arguments: Sequence[str] | None) -> KubeletFlags:
    given = list(k3s_arguments if k3s_arguments is not None else arguments[1:])
    # k3s hides its arguments (a database's password may be among them) as soon as it has read them.
    hidden = k3s_arguments is None and len(arguments) <= 2
    own: dict[str, list[str]] = {}
    for at, argument in enumerate(given):
        if not argument.startswith("-"):
            continue
        name, equals, value = argument.lstrip("-").partition("=")
        following = given[at + 1] if at + 1 < len(given) else "--"
        own.setdefault(name, []).append(
            value if equals else "true" if following.startswith("-") else following
        )
    flags: dict[str, str] = {}
    for one in own.get("kubelet-arg", []):
        flags |= parse_flags(["--" + one.removeprefix("--") + ("" if "=" in one else "=true")])
    if "protect-kernel-defaults" in own:
        flags.setdefault("protect-kernel-defaults", own["protect-kernel-defaults"][-1])
    data_dir = (own.get("data-dir") or own.get("d") or [K3S_DATA_DIR])[-1]
    supposed = "config-dir" not in flags
    flags.setdefault("config-dir", f"{data_dir.rstrip('/')}/{_K3S_CONFIG_DIR}")
    return KubeletFlags(
        flags=flags,
        config_dir_optional=supposed,
        problem="k3s hides its arguments, and its Node has no annotation k3s.io/node-args"
        if hidden
        else None,
    )
