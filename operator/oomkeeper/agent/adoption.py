"""Count on from the incidents that an earlier state database of this node has left in the cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

from oomkeeper.logformat import get_logger

from .incidents import key_of_document, merge_older
from .store import Store

log = get_logger(__name__)

ADOPTED_NOTE = "adopted"
"""Name in the store of the note that the cluster's incidents of this node are counted on."""


def adopt_incidents(store: Store, items: Sequence[Mapping[str, Any]]) -> None:
    """Take over all incidents or none: what is published before would take the cluster's counts back to
    ours."""
    with store.transaction():
        for item in items:
            _adopt(store, item)
        store.put_note(ADOPTED_NOTE, True)
    log.info("incidents adopted", count=len(items))


def _adopt(store: Store, item: Mapping[str, Any]) -> None:
    older = {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "metadata": {name: item["metadata"].get(name) for name in ("name", "namespace", "labels")},
        "spec": item["spec"],
        "status": {"count": 0, "kills": [], "history": [], **(item.get("status") or {})},
    }
    key = key_of_document(older)
    mine = store.incident(key)
    if mine is None:
        store.adopt_incident(key, older)
    else:
        store.put_incident(key, merge_older(mine, older))
