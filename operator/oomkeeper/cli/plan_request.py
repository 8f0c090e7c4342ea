"""Ask agents what a change would do on their nodes: write the requests, wait for the answers, take the
requests away (docs/decisions/114-plans-are-answered-by-the-agents.md)."""

import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec

from oomkeeper.agent.kube.client import resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.agent.plan.request import MAX_BYTES, parse_request, request_text
from oomkeeper.connection.config import ApiConfig
from oomkeeper.model.names import PLAN_ANNOTATION
from oomkeeper.model.times import format_time
from oomkeeper.resources.oomnode import NodePlan, OOMNodeSpec
from oomkeeper.resources.record import read_part, to_document

from .cluster import list_raw
from .cluster_client import ClusterClient

_LOOK_SECONDS = 0.5
_PARALLEL = 8
_SPARE_SECONDS = 60
"""How long a request is valid beyond the wait for its answer."""

Answer = NodePlan | str
"""The agent's answer, or why there is none."""


def ask_agents(
    config: ApiConfig, client: ClusterClient, wanted: Mapping[str, OOMNodeSpec], *, timeout_seconds: int
) -> dict[str, Answer]:
    """Return node -> answer of its agent. Another person's request that has not expired is waited for."""
    id = f"plan-{secrets.token_hex(8)}"
    now = time.time() + (client.clock_skew_seconds or 0.0)
    expires = format_time(now + timeout_seconds + _SPARE_SECONDS)
    texts = {name: _text(id, expires, spec) for name, spec in wanted.items()}
    answers: dict[str, Answer] = {
        name: "the request is too long" for name, text in texts.items() if len(text) > MAX_BYTES
    }
    written: set[str] = set()
    deadline = time.monotonic() + timeout_seconds
    try:
        while len(answers) < len(wanted) and time.monotonic() < deadline:
            free = []
            for obj in list_raw(client, resource_path("oomnodes")):
                name = str((obj.get("metadata") or {}).get("name"))
                if name not in texts or name in answers:
                    continue
                plan = read_part(NodePlan, (obj.get("status") or {}).get("plan") or {})[0]
                if plan is not None and plan.id == id:
                    answers[name] = plan
                elif name not in written and not _is_taken(obj, now=now):
                    free.append(name)
            written |= set(free)
            answers |= _write(config, {name: texts[name] for name in free})
            time.sleep(_LOOK_SECONDS)
    finally:
        _remove(config, {name: texts[name] for name in written})
    for name in wanted.keys() - answers.keys():
        answers[name] = (
            f"the agent did not answer within {timeout_seconds} s"
            if name in written
            else "another plan is being made for this node"
        )
    return answers


def _text(id: str, expires: str, spec: OOMNodeSpec) -> str:
    return msgspec.json.encode({"id": id, "expires": expires, "spec": to_document(spec)}).decode()


def _is_taken(obj: Mapping[str, object], *, now: float) -> bool:
    """Return whether the object holds another request that is still valid."""
    text = request_text(obj)
    request = parse_request(text) if text is not None else None
    return request is not None and request.expires > now


def _write(config: ApiConfig, texts: Mapping[str, str]) -> dict[str, Answer]:
    """Write requests; return those that failed, with the reason."""

    def write(client: ClusterClient, name: str) -> None:
        patch = {"metadata": {"annotations": {PLAN_ANNOTATION: texts[name]}}}
        client.merge(resource_path("oomnodes", name=name), patch)

    return _each(config, texts, write)


def _remove(config: ApiConfig, texts: Mapping[str, str]) -> None:
    """Remove our requests. One that another person has replaced stays; one that cannot be removed expires."""
    pointer = f"/metadata/annotations/{PLAN_ANNOTATION.replace('/', '~1')}"

    def remove(client: ClusterClient, name: str) -> None:
        operations = [
            {"op": "test", "path": pointer, "value": texts[name]},
            {"op": "remove", "path": pointer},
        ]
        client.json_patch(resource_path("oomnodes", name=name), operations)

    _each(config, texts, remove)


def _each(
    config: ApiConfig, texts: Mapping[str, str], work: Callable[[ClusterClient, str], None]
) -> dict[str, Answer]:
    names = sorted(texts)
    failed: dict[str, Answer] = {}

    def run(part: list[str]) -> None:
        client = ClusterClient(config)
        try:
            for name in part:
                try:
                    work(client, name)
                except ApiError as error:
                    failed[name] = str(error)
        finally:
            client.close()

    parts = [part for start in range(_PARALLEL) if (part := names[start::_PARALLEL])]
    if parts:
        with ThreadPoolExecutor(max_workers=len(parts)) as pool:
            list(pool.map(run, parts))
    return failed
