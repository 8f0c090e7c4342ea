"""mkdocs hook: links from a page to a file outside docs/ lead to the repository, or become its path."""

import os
import posixpath
import re
from typing import Any

REPOSITORY = os.environ.get("OOMKEEPER_REPOSITORY", "")
"""URL below which the files of the repository can be read; empty where there is none."""
_LINK = re.compile(r"\[([^\]\n]*)\]\((?!\w+:|#|/)([^)\s#]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the page with such links changed."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def changed(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[2]))
        is_page = path.startswith("docs/") and path.endswith(".md")
        if is_page or (path.startswith("docs/") and posixpath.splitext(path)[1] in (".svg", ".png")):
            return link[0]
        if REPOSITORY:
            return f"[{link[1]}]({REPOSITORY}/{path}{link[3] or ''})"
        return link[1] if path in link[1] else f"{link[1]} (`{path}` in the repository)"

    return _LINK.sub(changed, markdown)
