"""Writes of oomkeeper's, as the API server counts them."""

import re
from collections import Counter

_VERBS = ("APPLY", "PATCH", "POST", "PUT", "DELETE")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def oomkeeper_writes(metrics: str) -> Counter[str]:
    """Return `VERB RESOURCE` -> requests since the API server's start, from its metrics: writes of
    oomkeeper's own resources, which nothing else writes, and server-side applies of Events, which nothing
    else does."""
    writes: Counter[str] = Counter()
    for line in metrics.splitlines():
        if not line.startswith("apiserver_request_total{"):
            continue
        labels = dict(_LABEL.findall(line))
        resource = "/".join(filter(None, (labels["resource"], labels["subresource"])))
        verb = labels["verb"]
        own = labels["group"] == "oomkeeper.dev" and verb in _VERBS
        if own or (resource == "events" and verb == "APPLY"):
            writes[f"{verb} {resource}"] += int(float(line.rpartition(" ")[2]))
    return writes
