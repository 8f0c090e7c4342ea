"""Names for JSON whose shape is not defined here."""

from collections.abc import Mapping
from typing import Any, TypeAlias

ForeignObject: TypeAlias = Mapping[str, Any]
"""An object of another API group, or a part of one, as the API server sent it: pods, nodes, Events.
Nothing in it is certain; oomkeeper's own kinds have types in `resources`."""

JsonDocument: TypeAlias = dict[str, Any]
"""A document made here for one output, such as a patch or the JSON of a verb."""
