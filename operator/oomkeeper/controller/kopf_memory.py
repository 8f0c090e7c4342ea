"""What kopf remembers of each object: nothing, for handlers of events need nothing remembered.

kopf keeps a record per object for daemons, timers, indexes and retries, as long as the object exists: 2 KiB
each, which are 40 MiB in a cluster of 5,000 nodes and 10,000 incidents (bench/scale.py).
"""

from typing import Any

from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory


class NoMemories(ResourceMemories):
    """Makes each event's record anew."""

    async def recall(self, raw_body: Any, **options: Any) -> ResourceMemory:
        """Return a record that is not kept."""
        return await super().recall(raw_body, **(options | {"ephemeral": True}))
