"""Read an OOMPolicy from a YAML file, as strictly as the API server would, with one line that says what is
wrong."""

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from oomkeeper.model.names import API_VERSION

from .oompolicy import OOMPolicy
from .problems import InvalidObjectError

MAX_FILE_BYTES = 1 << 20
"""Larger than any policy that the schema allows."""


class PolicyFileError(Exception):
    """A policy file that cannot be used. The text is one line: FILE: where: what, and what to write."""


def load_policy(path: str | os.PathLike[str]) -> OOMPolicy:
    """Read and check one OOMPolicy. Raises PolicyFileError and nothing else."""
    file = Path(path)
    try:
        return OOMPolicy.parse(_document(_text(file)))
    except (_Unusable, InvalidObjectError) as error:
        raise PolicyFileError(f"{_one_line(str(file))}: {_one_line(str(error))}") from error


class _Unusable(Exception):
    """Why a text is no policy, before its fields are looked at."""


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _text(file: Path) -> str:
    try:
        # The type is checked first: reading a FIFO or a device might never end.
        if file.exists() and not file.is_file():
            raise _Unusable("is not a regular file: name a YAML file with one OOMPolicy")
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _Unusable(f"cannot be read: {reason}") from error
    if len(data) > MAX_FILE_BYTES:
        raise _Unusable(f"is larger than {MAX_FILE_BYTES} bytes: name a YAML file with one OOMPolicy")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unusable(
            f"is not UTF-8 text (byte {error.start}): name a YAML file with one OOMPolicy"
        ) from error
    if "\0" in text:
        raise _Unusable("is binary: name a YAML file with one OOMPolicy")
    return text


def _document(text: str) -> dict[str, Any]:
    try:
        documents = [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _Unusable(f"{where}not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise _Unusable(f"not YAML: {error}") from error
    except RecursionError as error:
        raise _Unusable("is nested too deeply: write an OOMPolicy") from error
    if not documents:
        raise _Unusable("is empty: write an OOMPolicy")
    if len(documents) > 1:
        raise _Unusable(f"holds {len(documents)} documents: write one OOMPolicy to a file")
    (body,) = documents
    if not isinstance(body, dict):
        raise _Unusable("is no object: write apiVersion, kind, metadata and spec of an OOMPolicy")
    for field, wanted in (("apiVersion", API_VERSION), ("kind", "OOMPolicy")):
        found = body.get(field)
        if found is None:
            raise _Unusable(f"{field}: is missing: write {wanted}")
        if found != wanted:
            raise _Unusable(f"{field}: {str(found)[:80]!r} is not understood here: write {wanted}")
    return body


class _Loader(yaml.SafeLoader):
    """YAML as the API server reads it, minus what only misleads.

    Keys are strings and occur once. Times stay strings, and only decimal digits are integers: 010 and 1:30
    are 8 and 90 in YAML 1.1, which a policy never means. Aliases are refused, for nested ones
    expand without bound.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(
                None, None, f"alias *{event.anchor} is not accepted: write the value out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain word", key.start_mark
                )
            # An unquoted key such as `on` or 1 would be no string; the API server takes its text.
            key.tag = "tag:yaml.org,2002:str"
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} occurs twice: write it once", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789")
)
