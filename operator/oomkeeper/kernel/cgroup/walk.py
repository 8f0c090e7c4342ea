"""Visit cgroups, the outer ones first and never more than a bound.

Where a cgroup is delegated (a container's, a user's manager) its owner makes as many below it as it likes.
Level by level, the node's own and every container's are visited before any of these.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

MAX_CGROUPS = 65_536
MAX_CHILDREN = 8_192
"""Of one cgroup. kubepods has one for each pod; systemd's slices have some hundred."""


def walk_cgroups(
    top: Path, *, descend: Callable[[Path], bool] = lambda _folder: True, max_cgroups: int = MAX_CGROUPS
) -> Iterator[Path]:
    """Yield `top` and the cgroups below it, level by level, leaving out what is below a folder for which
    `descend` is false, and everything beyond `max_cgroups`. Nothing for a folder that is not there."""
    waiting = deque([top])
    seen = 1
    while waiting:
        folder = waiting.popleft()
        try:
            with os.scandir(folder) as entries:
                yield folder
                if not descend(folder):
                    continue
                children = 0
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        continue
                    children += 1
                    seen += 1
                    if children > MAX_CHILDREN or seen > max_cgroups:
                        break
                    waiting.append(Path(entry.path))
        except OSError:
            continue  # it is gone, or its path is longer than the kernel resolves
