"""Advice about language runtimes, recognised by the process's name: each has a setting for its memory."""

from collections.abc import Callable
from typing import NamedTuple

from ...model.cause import Remedy, Scope
from ...model.diagnosis import Advice
from ...model.escaping import printable
from ...model.units import bytes_text
from ..case import Case, anonymous_bytes
from ..resize import lag_of

_HELD = 0.7
"""Part of the limit below which the runtime's own memory is not what filled it."""
_HEAP = 0.75
"""Part of the limit for a heap: metaspace, threads, code and direct buffers need the rest (the JVM's
documentation and the Node.js guide give the same figure)."""
_GO_SOFT = 0.9
"""Of the limit: https://go.dev/doc/gc-guide leaves 5 to 10 % for memory outside the Go runtime."""
_HEADROOM = 0.8
"""Of the limit, for all workers together."""
_WORKER = 2
"""A process with less than half of the largest one's memory is their parent, or has just started."""
_MIB = 1 << 20


class _Holder(NamedTuple):
    """The victim's name with all processes of that name."""

    comm: str
    held_bytes: int
    processes: int
    limit_bytes: int


_Words = Callable[[_Holder], str | None]


def lower_heap(case: Case) -> Advice | None:
    """Advise the runtime setting that leaves room below the limit."""
    holder = _holder(case)
    if holder is None or holder.held_bytes < holder.limit_bytes * _HELD:
        return None
    words = _words_for(holder.comm)
    message = words(holder) if words is not None else None
    return Advice(remedy=Remedy.LOWER_HEAP, message=message) if message is not None else None


def _holder(case: Case) -> _Holder | None:
    victim, limit = case.victim, case.binding.limit_bytes
    if (lag := lag_of(case)) is not None:
        limit = max(lag.limit_bytes, lag.spec_bytes)
    if case.scope is not Scope.MEMCG or victim is None or limit is None:
        return None
    pages = [task.rss_pages for task in case.kill.tasks if task.comm == victim.comm]
    most = max(pages, default=0)
    workers = [held for held in pages if held * _WORKER >= most]
    if len(workers) > 1:
        # Each counts the pages that forked workers share; together they cannot use more than the limit.
        held = min(sum(workers) * case.kill.memory.page_size_bytes, limit)
        return _Holder(victim.comm, held, len(workers), limit)
    alone = anonymous_bytes(victim)
    return _Holder(victim.comm, min(alone, limit), 1, limit) if alone is not None else None


def _held(holder: _Holder, what: str) -> str:
    if holder.processes == 1:
        used, limit = bytes_text(holder.held_bytes), bytes_text(holder.limit_bytes)
        return f"{what} used {used} of {limit} (without file pages)."
    return (
        f"{holder.processes} processes named {printable(holder.comm)} used {bytes_text(holder.held_bytes)} "
        f"of {bytes_text(holder.limit_bytes)}."
    )


def _jvm(holder: _Holder) -> str:
    heap = int(holder.limit_bytes * _HEAP) // holder.processes
    each = " each" if holder.processes > 1 else ""
    share = "" if holder.processes > 1 else ", or `-XX:MaxRAMPercentage=75`"
    return (
        f"{_held(holder, 'The JVM')} Keep its heap at or below {bytes_text(heap)}{each} (`-Xmx`{share}): "
        "threads, metaspace and direct buffers need the rest."
    )


def _node(holder: _Holder) -> str | None:
    heap = int(holder.limit_bytes * _HEAP) // holder.processes // _MIB
    if heap == 0:
        return None
    each = " for each" if holder.processes > 1 else ""
    return (
        f"{_held(holder, 'Node.js')} Make V8 collect garbage before the limit: "
        f"`--max-old-space-size={heap}`{each} (MiB, in NODE_OPTIONS). Buffers and native modules are outside "
        "this heap and need the rest."
    )


def _go(holder: _Holder) -> str | None:
    soft = int(holder.limit_bytes * _GO_SOFT) // holder.processes // _MIB
    if soft == 0:
        return None
    each = " for each" if holder.processes > 1 else ""
    return (
        f"{_held(holder, f'{holder.comm}, a Go program,')} Set `GOMEMLIMIT={soft}MiB`{each}, 90 % of the "
        "limit: the garbage collector then runs more often. Memory in use may still exceed it."
    )


def _python(holder: _Holder) -> str:
    fit = int(holder.limit_bytes * _HEADROOM) // max(1, holder.held_bytes // holder.processes)
    if holder.processes > 1 and 0 < fit < holder.processes:
        workers = "worker" if fit == 1 else "workers"
        how = (
            f"At up to {bytes_text(holder.held_bytes // holder.processes)} each and with 20 % headroom, the "
            f"limit has room for {fit} {workers}: start fewer, or restart them after a number of requests "
            "(`gunicorn --max-requests`, `celery --max-memory-per-child`)."
        )
    else:
        how = (
            "Python has no heap limit: bound what is kept in memory (caches, whole result sets), restart "
            "workers regularly (`gunicorn --max-requests`, `celery --max-memory-per-child`), and use "
            "tracemalloc to find what is not freed."
        )
    return f"{_held(holder, 'Python')} {how}"


_GO_PROGRAMS = frozenset({
    "go", "gopls", "kubelet", "kube-apiserver", "kube-scheduler", "kube-proxy", "kube-controller",
    "cloud-controlle", "etcd", "coredns", "containerd", "dockerd", "cadvisor", "k3s", "k3s-server",
    "k3s-agent", "rke2", "cilium-agent", "cilium-operator", "flanneld", "calico-node", "prometheus",
    "alertmanager", "thanos", "node_exporter", "kube-state-metr", "loki", "promtail", "tempo", "mimir",
    "grafana", "grafana-server", "telegraf", "influxd", "otelcol", "otelcol-contrib", "traefik", "caddy",
    "consul", "vault", "nomad", "minio", "argocd-applicat", "argocd-server", "argocd-repo-ser",
    "terraform", "gitea", "frps", "frpc",
})  # fmt: skip
"""Well-known ones, their names cut to the 15 bytes of a comm. Any other Go program cannot be recognised by
its name, and gets no such advice."""
_RUNTIMES: tuple[tuple[frozenset[str], _Words], ...] = (
    (frozenset({"java", "jsvc"}), _jvm),
    # Since 23.7 the main thread, and so the process, is called MainThread (nodejs/node#56416).
    (frozenset({"node", "nodejs", "MainThread", "node-MainThread"}), _node),
    (_GO_PROGRAMS, _go),
    (frozenset({"python", "pypy", "pypy3", "gunicorn", "uwsgi", "celery", "uvicorn"}), _python),
)


def _words_for(comm: str) -> _Words | None:
    name = comm.rstrip("0123456789.") if comm.startswith("python") else comm
    return next((words for names, words in _RUNTIMES if name in names), None)
