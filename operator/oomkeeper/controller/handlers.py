"""kopf's handlers: each passes its object on to the reconciler, which decides.

Only low-level event handlers. kopf writes nothing to any object: no handler needs progress, finalizers or
annotations, and its Events are off.
"""

from collections.abc import Mapping
from typing import Any

import kopf

from .kinds import KINDS, Kind
from .login import Login
from .reconciler import Reconciler

_STALLED_SECONDS = 180.0


def handlers(reconciler: Reconciler, *, login: Login) -> kopf.OperatorRegistry:
    """Return every handler."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return await login()

    @kopf.on.probe(registry=registry, id="idle_seconds")
    async def probe(**_: Any) -> int:
        idle = reconciler.idle_seconds()
        if idle > _STALLED_SECONDS:
            raise kopf.PermanentError(f"the reconciler has not run for {idle:.0f} s")
        return int(idle)

    for kind in KINDS:
        _follow(registry, kind=kind, reconciler=reconciler)
    return registry


def _follow(registry: kopf.OperatorRegistry, *, kind: Kind, reconciler: Reconciler) -> None:
    resource = (kind.group, kind.version, kind.plural) if kind.group else (kind.version, kind.plural)

    @kopf.on.event(*resource, registry=registry, id=f"follow-{kind.plural}")
    async def follow(event: Mapping[str, Any], **_: Any) -> None:
        reconciler.handle_event(kind, event)
