"""Read the container of Docker, Podman, nerdctl or Amazon ECS from a cgroup path. Pure text; nothing is
opened.

/docker/<id>                                      Docker, cgroupfs driver
/system.slice/docker-<id>.scope                   Docker, systemd driver
/machine.slice/libpod-<id>.scope/container        Podman
/libpod_parent/libpod-<id>                        Podman, cgroupfs
/ecs/<task id>/<container id>                     Amazon ECS on cgroup v1
/ecstasks.slice/ecstasks-<task id>.slice/docker-<id>.scope   Amazon ECS on cgroup v2
/system.slice/nerdctl-<id>.scope                  nerdctl
"""

from typing import NamedTuple

from ..lazy import lazy

_SCOPE = lazy(r"(?P<runtime>docker|libpod|nerdctl)-(?P<id>[0-9a-f]{64})(?:\.scope)?")
_ID = lazy(r"[0-9a-f]{64}|[0-9a-f]{32}-\d{4,20}")
_RUNTIMES = {"docker": "Docker", "libpod": "Podman", "nerdctl": "nerdctl"}


class Container(NamedTuple):
    """A container that Kubernetes does not manage."""

    runtime: str
    """`Docker`, `Podman`, `nerdctl` or `ECS`."""
    id: str
    inner: str = ""
    """Path of the cgroup below the container's own; empty for the container's own."""


def parse_container(path: str) -> Container | None:
    """Return the innermost container of a cgroup path, or None. Any text is accepted."""
    segments = path.split("/")
    ecs = "ecs" in segments or any(segment.startswith("ecstasks") for segment in segments)
    for at in range(len(segments) - 1, 0, -1):
        segment = segments[at]
        inner = "".join(f"/{one}" for one in segments[at + 1 :] if one)
        if found := _SCOPE.fullmatch(segment):
            inner = "" if inner == "/container" and found["runtime"] == "libpod" else inner
            return Container("ECS" if ecs else _RUNTIMES[found["runtime"]], found["id"], inner)
        if _ID.fullmatch(segment) and (
            "ecs" in segments[max(0, at - 2) : at] or segments[at - 1] == "docker"
        ):
            return Container("ECS" if ecs else "Docker", segment, inner)
    return None


def container_of_limit(path: str) -> Container | None:
    """Return the container whose own cgroup the path is, or None: a limit on a cgroup that a process made
    inside a container (kind, a nested Docker) is not the container's."""
    container = parse_container(path)
    return container if container is not None and not container.inner else None
