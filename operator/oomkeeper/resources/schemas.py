"""Generated from `oomkeeper.api` by `make crds`; edit the models, not this file."""

SCHEMA_ANNOTATION = "oomkeeper.dev/schema"
SCHEMAS: dict[str, str] = {
    "oompolicies.oomkeeper.dev": "c8d3c68ad8c3db53",
    "oomnodes.oomkeeper.dev": "d2856168058658f0",
    "oomincidents.oomkeeper.dev": "06158c92a63a2573",
    "containerkills.oomkeeper.dev": "26a484dbb16e8f76",
    "oomreports.oomkeeper.dev": "bcb391ad4eac26de",
}
"""Name of a CustomResourceDefinition -> the value of its annotation."""
