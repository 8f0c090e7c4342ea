"""Read all objects of a kind, a page at a time and typed: 10,000 incidents take a moment."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Generic, NamedTuple, TypeVar

import msgspec

from oomkeeper.agent.kube.client import resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.resources.record import MalformedObjectError, Record, read

from .cluster_client import ClusterClient

_T = TypeVar("_T", bound=Record)
_Item = TypeVar("_Item")

PAGE_ITEMS = 500
"""As many as kubectl asks for."""
MAX_PAGE_BYTES = 64 << 20
"""More than a page of the largest incidents."""


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
    """Return all objects of a kind of oomkeeper's, in one namespace or in all. A list whose pages expire
    while it is read is read once more, as a whole. Raises ApiError."""
    pages = TypedPages(client, kind, plural, namespace=namespace)
    try:
        return TypedList(list(pages), pages.malformed)
    except ApiError as error:
        if error.status != HTTPStatus.GONE:  # else the continue token has expired: etcd was compacted
            raise
    pages = TypedPages(client, kind, plural, namespace=namespace, whole=True)
    return TypedList(list(pages), pages.malformed)


class TypedPages(Generic[_T]):
    """The objects of a kind, to be iterated over once: while they are used, a thread reads the next page.

    Until the end of the iteration the client belongs to that thread."""

    def __init__(
        self,
        client: ClusterClient,
        kind: type[_T],
        plural: str,
        *,
        namespace: str | None = None,
        whole: bool = False,
        **query: str,
    ) -> None:
        """`query`: labelSelector, fieldSelector; `whole`: in one page."""
        self._client, self._kind = client, kind
        self._path = resource_path(plural, namespace=namespace)
        self._query = query if whole else {**query, "limit": str(PAGE_ITEMS)}
        self._decoder = msgspec.json.Decoder(_Page[kind])  # type: ignore[valid-type]
        self.malformed = 0
        """Objects without the shape of their kind so far; they are left out."""

    def __iter__(self) -> Iterator[_T]:
        """Yield the objects. Raises ApiError; with status GONE where a page has expired."""
        with ThreadPoolExecutor(1) as reader:
            page = reader.submit(self._page, "")
            while True:
                data = page.result()
                items, next_page = self._decoded(data)
                if next_page:
                    page = reader.submit(self._page, next_page)
                yield from items
                if not next_page:
                    return

    def _page(self, next_page: str) -> bytes:
        extra = {"continue": next_page} if next_page else {}
        return self._client.list_page(self._path, most_bytes=MAX_PAGE_BYTES, **self._query, **extra)

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
