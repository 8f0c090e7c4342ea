"""Items of a list, wherever the network cuts it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomkeeper.agent.kube.list_splitter import ListSplitter

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def split(data: bytes, *, cuts: list[int]) -> tuple[list[bytes], bytes]:
    splitter, items, start = ListSplitter(), [], 0
    for end in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
        items += list(splitter.feed(data[start:end]))
        start = end
    return items, splitter.rest()


@settings(max_examples=200, deadline=None)
@given(
    items=st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=5),
    before=st.dictionaries(st.text().filter(lambda key: key != "items"), JSON, max_size=3),
    after=st.dictionaries(st.text().filter(lambda key: key != "items"), JSON, max_size=3),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 2]),
)
def test_any_list_is_split_into_its_items_and_the_rest(
    items, before, after, cuts, ascii_only, indent
) -> None:
    whole = {
        **{f"a{k}": v for k, v in before.items()},
        "items": items,
        **{f"b{k}": v for k, v in after.items()},
    }
    data = json.dumps(whole, ensure_ascii=ascii_only, indent=indent).encode(errors="replace")
    found, rest = split(data, cuts=cuts)
    expected = json.loads(data)
    assert [json.loads(item) for item in found] == expected["items"]
    assert json.loads(rest) == {**expected, "items": []}


@pytest.mark.parametrize(
    "text",
    [
        '{"items": null, "metadata": {}}',
        '{"metadata": {"items": [{"a": 1}]}}',
        '{"kind": "items", "other": [{"a": 1}]}',
    ],
)
def test_other_arrays_are_not_the_items(text: str) -> None:
    found, rest = split(text.encode(), cuts=[])
    assert found == []
    assert json.loads(rest) == json.loads(text)


def test_only_the_current_item_is_held() -> None:
    splitter = ListSplitter()
    item = json.dumps({"data": "x" * 20_000}).encode()
    list(splitter.feed(b'{"items":['))
    for _ in range(100):
        assert len(list(splitter.feed(item + b","))) == 1
        assert len(splitter.rest()) < 100


def test_brackets_and_quotes_in_texts_do_not_count() -> None:
    item = json.dumps({"a": '}]"\\', "b\\": '{"items":[{'}).encode()
    for cut in range(len(item) + 12):
        found, _ = split(b'{"items":[' + item + b"]}", cuts=[cut])
        assert found == [item]
