"""Read all objects of a kind, typed, many at a time while the rest arrives: 10,000 incidents take a moment.

In one request, which the API server answers from its cache. Pages are of one version of the list; once its
cache has forgotten that version, as after five minutes without a write, it reads them from etcd, which takes
many times as long.
"""

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

import msgspec

from oomkeeper.agent.kube.client import resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.names import API_VERSION
from oomkeeper.resources.record import MalformedObjectError, Record, read

from .cluster_client import ClusterClient

_T = TypeVar("_T", bound=Record)
_Item = TypeVar("_Item")

PAGE_ITEMS = 500
"""As many as kubectl asks for."""
MAX_HELD_BYTES = 64 << 20
"""Of an answer in which no item begins as expected."""


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
    client: ClusterClient, kind: type[_T], plural: str, *, namespace: str | None = None
) -> TypedList[_T]:
    """Return all objects of a kind of oomkeeper's, in one namespace or in all. Raises ApiError."""
    items = TypedItems(client, kind, plural, namespace=namespace)
    try:
        return TypedList(list(items), items.malformed)
    except InterruptedListError:
        items = TypedItems(client, kind, plural, namespace=namespace, paged=True)
        return TypedList(list(items), items.malformed)


class InterruptedListError(ApiError):
    """An answer ended before its end: a connection that is too slow for the minute that an API server takes
    for a request may still be good enough for a page."""


class TypedItems(Generic[_T]):
    """The objects of a kind, to be iterated over once: they are decoded while the rest arrives."""

    def __init__(
        self,
        client: ClusterClient,
        kind: type[_T],
        plural: str,
        *,
        namespace: str | None = None,
        paged: bool = False,
        **query: str,
    ) -> None:
        """`query`: labelSelector, fieldSelector; `paged`: one request per page."""
        self._client, self._kind = client, kind
        self._path = resource_path(plural, namespace=namespace)
        self._query = {**query, "limit": str(PAGE_ITEMS)} if paged else query
        self._decoder = msgspec.json.Decoder(_Page[kind])  # type: ignore[valid-type]
        self._begin = f'{{"apiVersion":"{API_VERSION}","kind":"{kind.__name__}","metadata":{{'.encode()
        self.malformed = 0
        """Objects without the shape of their kind so far; they are left out."""

    def __iter__(self) -> Iterator[_T]:
        """Yield the objects. Raises ApiError; InterruptedListError for an answer without an end."""
        next_page = ""
        while True:
            extra = {"continue": next_page} if next_page else {}
            for data in self._blocks({**self._query, **extra}):
                items, next_page = self._decoded(data)
                yield from items
            if not next_page:
                return

    def _blocks(self, query: dict[str, str]) -> Iterator[bytes]:
        """Yield an answer in parts, each a list in JSON; the last one has the list's metadata.

        An item begins in the way that the API server writes each; quotes within a string have a backslash,
        so no text looks like it. What is not found is decoded with the rest."""
        held, begun = bytearray(), b""
        try:
            for data in self._client.parts(self._path, **query):
                searched = max(len(held) - len(self._begin), 1)
                held += data
                if (cut := held.rfind(b"," + self._begin, searched)) > 0:
                    yield begun + held[:cut] + b"]}"
                    begun = b'{"items":['
                    del held[: cut + 1]
                if len(held) > MAX_HELD_BYTES:
                    raise ApiError(f"GET {self._path}: more than {MAX_HELD_BYTES} bytes without an item")
        except ApiError as error:
            if (held or begun) and error.status is None:
                raise InterruptedListError(str(error)) from error
            raise
        yield begun + held

    def _decoded(self, data: bytes) -> tuple[list[_T], str]:
        try:
            page = self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            items, next_page = _one_by_one(self._kind, data, what=f"GET {self._path}")
            self.malformed += items.count(None)
            return [item for item in items if item is not None], next_page
        return page.items, page.metadata.next_page


def _one_by_one(kind: type[_T], data: bytes, *, what: str) -> tuple[list[_T | None], str]:
    """Return the items of a page; None for one that does not have the shape of its kind."""
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
