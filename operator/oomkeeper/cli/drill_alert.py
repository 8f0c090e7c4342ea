"""The alert of a drill: what a Prometheus, a service of the cluster, has of the kills of a namespace."""

from typing import Any
from urllib.parse import quote

import msgspec

from oomkeeper.agent.kube.errors import ApiError

from .cluster_client import ClusterClient

ALERT = "OOMKeeperWorkloadOOMKilled"
_METRIC = "oomkeeper_oom_kills_total"
_MOST_BYTES = 4 << 20


class PrometheusError(Exception):
    """Prometheus does not answer, or not as its API does. The text is one line."""


class PrometheusService:
    """Prometheus behind a service, asked through the API server."""

    def __init__(self, client: ClusterClient, service: str) -> None:
        """`service`: NAMESPACE/SERVICE:PORT."""
        namespace, name = service.split("/", 1)
        self._client = client
        self._path = (
            f"/api/v1/namespaces/{quote(namespace, safe='')}/services/{quote(name, safe=':')}/proxy/api/v1"
        )

    def alert(self, namespace: str) -> str | None:
        """Return the state of the alert about kills in a namespace; None where there is none. Raises
        PrometheusError."""
        found = self._result(f'ALERTS{{alertname="{ALERT}",namespace="{namespace}"}}')
        states = {_label(one, "alertstate") for one in found}
        return "firing" if "firing" in states else max(states, default=None)

    def why_no_alert(self, namespace: str) -> str:
        """Return which link before the alert is missing. Raises PrometheusError."""
        if not self._result(f'{_METRIC}{{namespace="{namespace}"}}'):
            if not self._result(_METRIC):
                return f"Prometheus has no {_METRIC}: it does not scrape the agents"
            return f"Prometheus has {_METRIC}, but not of this namespace: it does not scrape that agent"
        groups = self._data("rules", type="alert").get("groups")
        rules = [
            rule
            for group in (groups if isinstance(groups, list) else ())
            for rule in group.get("rules") or ()
            if rule.get("name") == ALERT
        ]
        if not rules:
            return f"Prometheus counts the kill, but has no rule {ALERT}"
        problem = next((rule.get("lastError") for rule in rules if rule.get("lastError")), None)
        return f"the rule {ALERT} fails: {problem}" if problem else f"{ALERT} does not fire"

    def _result(self, query: str) -> list[dict[str, Any]]:
        found = self._data("query", query=query).get("result")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def _data(self, name: str, **query: str) -> dict[str, Any]:
        try:
            text = self._client.text(f"{self._path}/{name}", most_bytes=_MOST_BYTES, **query)
            return msgspec.json.decode(text, type=dict[str, Any])["data"]  # type: ignore[no-any-return]
        except (ApiError, msgspec.DecodeError, KeyError) as error:
            raise PrometheusError(f"Prometheus did not answer: {error}") from error


def _label(series: dict[str, Any], name: str) -> str:
    labels = series.get("metric")
    return str(labels.get(name)) if isinstance(labels, dict) else ""
