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


def parse_container(path: str) -> Container | None:
    """Return the innermost container of a cgroup path, or None. Any text is accepted."""
    segments = path.split("/")
    ecs = "ecs" in segments or any(segment.startswith("ecstasks") for segment in segments)
    for at in range(len(segments) - 1, 0, -1):
        segment = segments[at]
        if found := _SCOPE.fullmatch(segment):
            return Container("ECS" if ecs else _RUNTIMES[found["runtime"]], found["id"])
        if _ID.fullmatch(segment) and (
            "ecs" in segments[max(0, at - 2) : at] or segments[at - 1] == "docker"
        ):
            return Container("ECS" if ecs else "Docker", segment)
    return None
