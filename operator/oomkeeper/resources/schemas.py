"""Generated from `oomkeeper.api` by `make crds`; edit the models, not this file."""

SCHEMA_ANNOTATION = "oomkeeper.dev/schema"
SCHEMAS: dict[str, str] = {
    "oompolicies.oomkeeper.dev": "b108d9954c9cc52e",
    "oomnodes.oomkeeper.dev": "b3084b6e84f9102c",
    "oomincidents.oomkeeper.dev": "7e303ac6f0e32e78",
    "containerkills.oomkeeper.dev": "fba6451b0696c6e2",
    "oomreports.oomkeeper.dev": "acba5e32e47f6797",
}
"""Name of a CustomResourceDefinition -> the value of its annotation."""
