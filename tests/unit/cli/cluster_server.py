"""`kubectl oom` against an API server that answers from a table of paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from oomkeeper.cli.kubectl_oom import main
from tests.unit.agent.kube_server import Exchange, server

Json = dict[str, Any]
GROUP = "/apis/oomkeeper.dev/v1alpha1"


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    body: Any


class Cluster:
    """Answers GET with what is stored under a path: a list of items, an object, a text or a status."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}
        self.missing = "not found"
        self.requests: list[Request] = []
        self.writes: Callable[[Request], tuple[int, Json]] = lambda _: (200, {})

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.requests]

    def answer(self, exchange: Exchange) -> None:
        url = urlsplit(exchange.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        request = Request(exchange.method, url.path, query, exchange.body)
        self.requests.append(request)
        if exchange.method != "GET":
            status, document = self.writes(request)
            exchange.json(document, status=status)
            return
        found = self.stored.get(url.path)
        if isinstance(found, list):
            exchange.json({"metadata": {"resourceVersion": "7"}, "items": found})
        elif isinstance(found, int):
            exchange.json({"message": "no rights"}, status=found)
        elif isinstance(found, bytes):
            exchange.content_type = "text/plain"
            exchange.raw(found)
        elif found is not None:
            exchange.json(found)
        else:
            exchange.json({"message": self.missing}, status=404)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run `kubectl oom` with these words; gives exit status, stdout and stderr."""
    with server(cluster.answer) as url:
        file = tmp_path / "kubeconfig"
        context = {"cluster": "c", "user": "u", "namespace": "shop"}
        config = {
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "here", "context": context}],
        }
        file.write_text(yaml.safe_dump(config))

        def call(*words: str) -> tuple[int, str, str]:
            try:
                status = main([words[0], f"--kubeconfig={file}", *words[1:]])
            except SystemExit as end:
                status = int(end.code or 0)
            out, err = capsys.readouterr()
            return status, out, err

        yield call
