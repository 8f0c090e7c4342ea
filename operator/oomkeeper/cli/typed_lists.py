"""Read all objects of a kind, a page at a time and typed: 10,000 incidents take a moment."""

from typing import Generic, NamedTuple, TypeVar

import msgspec

from oomkeeper.agent.kube.client import ApiClient, resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.resources.record import MalformedObjectError, Record, read

_T = TypeVar("_T", bound=Record)
_Item = TypeVar("_Item")

PAGE_ITEMS = 500
"""As many as kubectl asks for."""
MAX_PAGE_BYTES = 64 << 20
"""More than a page of the largest incidents."""
GONE = 410
"""The continue token has expired: etcd has compacted the list's version."""


class TypedList(NamedTuple, Generic[_T]):
    """What was read of a kind."""

    items: list[_T]
    malformed: int
    """Objects without the shape of their kind; they are left out."""


class _Meta(msgspec.Struct, frozen=True):
    next_page: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, Generic[_Item]):
    items: list[_Item] = []
    metadata: _Meta = _Meta()


def list_typed(
    client: ApiClient, kind: type[_T], plural: str, *, namespace: str | None = None, **query: str
) -> TypedList[_T]:
    """Return all objects of a kind of oomkeeper's, in one namespace or in all. `query`: labelSelector,
    fieldSelector. A list whose pages expire while it is read is read once more, as a whole. Raises
    ApiError."""
    path = resource_path(plural, namespace=namespace)
    try:
        return _pages(client, kind, path, {**query, "limit": str(PAGE_ITEMS)})
    except ApiError as error:
        if error.status != GONE:
            raise
        return _pages(client, kind, path, query)


def _pages(client: ApiClient, kind: type[_T], path: str, query: dict[str, str]) -> TypedList[_T]:
    decoder = msgspec.json.Decoder(_Page[kind])  # type: ignore[valid-type]
    found: list[_T] = []
    malformed, next_page = 0, ""
    while True:
        extra = {"continue": next_page} if next_page else {}
        data = client.list_page(path, most_bytes=MAX_PAGE_BYTES, **query, **extra)
        try:
            page = decoder.decode(data)
            found += page.items
            next_page = page.metadata.next_page
        except (msgspec.DecodeError, UnicodeDecodeError):
            items, next_page = _one_by_one(kind, data, what=f"GET {path}")
            found += [item for item in items if item is not None]
            malformed += items.count(None)
        if not next_page:
            return TypedList(found, malformed)


def _one_by_one(kind: type[_T], data: bytes, *, what: str) -> tuple[list[_T | None], str]:
    """Return the items of a page of which one or more do not have their shape (None)."""
    try:
        page = msgspec.json.decode(data, type=_Page[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(f"{what}: the answer is not a list in JSON: {error}") from error
    items: list[_T | None] = []
    for raw in page.items:
        try:
            items.append(read(kind, bytes(raw)))
        except MalformedObjectError:
            items.append(None)
    return items, page.metadata.next_page
