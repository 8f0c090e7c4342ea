"""`-o wide|json|yaml|name|jsonpath=TEMPLATE`, as `kubectl get` has it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from oomkeeper.model.names import GROUP
from oomkeeper.reporting.jsonpath import JSONPathError, Template

from .host import print_json

_F = TypeVar("_F", bound=Callable[..., Any])
_PLAIN = ("wide", "json", "yaml", "name")


class ObjectFormat(NamedTuple):
    """How objects are printed."""

    name: str
    """table, wide, json, yaml, name or jsonpath."""
    template: Template | None = None

    @property
    def is_table(self) -> bool:
        return self.name in ("table", "wide")


class _Format(click.ParamType[ObjectFormat]):
    name = "format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ObjectFormat:
        if isinstance(value, ObjectFormat):
            return value
        name, equals, text = str(value).partition("=")
        if name == "jsonpath" and equals and text:
            try:
                return ObjectFormat(name, Template(text))
            except JSONPathError as error:
                self.fail(f"jsonpath: {error}", param, ctx)
        if value not in _PLAIN:
            self.fail(f"{value!r} is not one of wide, json, yaml, name, jsonpath=TEMPLATE", param, ctx)
        return ObjectFormat(str(value))

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click
        param: click.Parameter,  # noqa: ARG002 - click
        incomplete: str,
    ) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(one) for one in (*_PLAIN, "jsonpath=") if one.startswith(incomplete)]


def object_output_option(command: _F) -> _F:
    """Add --output with kubectl's formats of objects; the verb gets an ObjectFormat."""
    return click.option(
        "-o",
        "--output",
        type=_Format(),
        metavar="FORMAT",
        default=ObjectFormat("table"),
        help="wide, json, yaml, name or jsonpath=TEMPLATE; default: a table.",
    )(command)


def print_objects(objects: Sequence[Mapping[str, Any]], *, form: ObjectFormat, singular: str) -> None:
    """Print objects in a format other than a table; `singular` is the kind's name for -o name."""
    if form.name == "name":
        for obj in objects:
            click.echo(f"{singular}.{GROUP}/{obj['metadata']['name']}")
        return
    document = {"apiVersion": "v1", "items": [*objects], "kind": "List", "metadata": {"resourceVersion": ""}}
    print_document(document, form=form)


def print_document(document: Mapping[str, Any], *, form: ObjectFormat) -> None:
    """Print one document as JSON, YAML or by a template."""
    if form.template is not None:
        click.echo(form.template.render(document), nl=False)
    elif form.name == "yaml":
        print_yaml(document)
    else:
        print_json(document)


def print_yaml(*documents: Any) -> None:
    """Print YAML documents, each after a line of three dashes but the first."""
    import yaml

    for place, document in enumerate(documents):
        if place:
            click.echo("---")
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110), nl=False)
