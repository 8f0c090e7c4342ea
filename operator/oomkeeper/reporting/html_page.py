"""What the HTML pages share: templates, the files written into a page, and a policy that allows only these.

A page is one file. Its Content-Security-Policy forbids every request and names the hash of each style and
script, so that no other would run even if a name got past the escaping."""

import json
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from oomkeeper.model.escaping import printable

from .inline_code import code_parts
from .kill_charts import Bar

_LONGEST_WORD = 40
"""Characters of a word in code that is never broken: a longer one is a path and would not fit a phone."""
_LEAST_PERCENT = 0.6
"""Length of the shortest bar that is visible."""


@cache
def environment() -> Environment:
    """Return the templates of this package; jinja2 escapes every value (autoescape)."""
    made = Environment(
        loader=PackageLoader("oomkeeper.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    made.filters["code_parts"] = code_parts
    made.filters["bar_percent"] = _bar_percent
    made.filters["printable"] = printable
    made.globals["longest_word"] = _LONGEST_WORD
    return made


def page_head(*, title: str, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Return the head of a page. `styles` and `scripts`: files of this package, written into it."""
    style = "\n".join(map(asset, styles))
    programs = [asset(name) for name in scripts]
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src {_allowed([style])}",
            f"script-src {_allowed(programs)}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return (
        environment()
        .get_template("head.html")
        .render(
            title=title,
            policy=Markup(policy),
            style=Markup(style),
            scripts=[Markup(program) for program in programs],
        )
    )


def data_block(value: Any) -> Markup:
    """Return the value as JSON for a `<script type="application/json">`: no text in it can end the element,
    and the browser never runs it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


@cache
def asset(name: str) -> str:
    """Return the text of a file of this package, such as `templates/style.css`."""
    return files(__package__).joinpath(*name.split("/")).read_text(encoding="utf-8")


def _allowed(texts: Sequence[str]) -> str:
    hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts]
    return " ".join(hashes) or "'none'"


def _bar_percent(bar: Bar) -> float:
    """Return the length of a bar in per cent: something is always visible, and more than all is all."""
    share = min(max(bar.share or 0.0, 0.0), 1.0)
    return max(share * 100, _LEAST_PERCENT) if share else 0.0
