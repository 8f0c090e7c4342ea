"""JSONPath templates: each expected output is what kubectl 1.37 prints."""

import pytest

from oomkeeper.reporting.jsonpath import JSONPathError, Template

DOCUMENT = {
    "kind": "List",
    "items": [
        {"name": "a", "count": 3, "labels": {"x.y/z": "1"}, "ok": True, "tags": ["p", "q", "r"]},
        {"name": "b", "count": 12, "labels": {"x.y/z": "2"}, "ok": False, "tags": []},
    ],
}


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{.kind}", "List"),
        ("{$.kind}", "List"),
        ("{.items[*].name}", "a b"),
        ("{.items[-1].name}", "b"),
        ("{.items[0:2].count}", "3 12"),
        ("{.items[0].tags[::2]}", "p r"),
        ("{.items[*]['name','count']}", "a 3 b 12"),
        (r"{.items[*].labels.x\.y/z}", "1 2"),
        ("{.items[0]['labels']}", '{"x.y/z":"1"}'),
        ("{.items[?(@.count>3)].name}", "b"),
        ('{.items[?(@.name=="a")].ok}', "true"),
        ("{.items[?(@.tags)].name}", "a b"),
        ('{range .items[*]}{.name}={.count}{"\\n"}{end}', "a=3\nb=12\n"),
        ('{range .items[*]}[{range .tags[*]}{@}{","}{end}]{end}', "[p,q,r,][]"),
        ("{..name}", "a b"),
        ("{.nothing}{.items[7].name}-", "-"),
        ("plain text", "plain text"),
        ("{.items[?(@.name<3)].name}", ""),
    ],
)
def test_output_is_kubectls(template: str, output: str) -> None:
    assert Template(template).render(DOCUMENT) == output


@pytest.mark.parametrize(
    "template",
    [
        "{.items[0",
        "{end}",
        "{range .items[*]}{.name}",
        "{.items[?(@.a=)]}",
        "{'a",
        "{}",
        "{.a b}",
        "{" * 5000,
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_place(template: str) -> None:
    with pytest.raises(JSONPathError, match="character"):
        Template(template)
